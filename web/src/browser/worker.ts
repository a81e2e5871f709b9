/** The worker that decodes for a page, so that the page stays alive meanwhile. */

import { errorData } from "../errors.js";
import { Answering } from "./answering.js";
import type { Request, Response } from "./messages.js";

let answering: Answering | undefined;

self.onmessage = async ({ data: request }: MessageEvent<Request>) => {
  const { id, place } = request;
  try {
    answering ??= new Answering(place);
    const result = await answering.answer(request);
    const transfer = result && "pixels" in result ? [result.pixels.buffer] : [];
    self.postMessage({ id, result } satisfies Response, { transfer });
  } catch (error) {
    self.postMessage({ id, error: errorData(error) } satisfies Response);
  }
};
