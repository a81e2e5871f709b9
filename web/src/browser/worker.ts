/** The worker that decodes for a page, so that the page stays alive meanwhile. */

import type { CoreDecoder } from "../decoder.js";
import { errorData } from "../errors.js";
import { localDecoder } from "./local.js";
import type { Request, Response } from "./messages.js";

let decoder: CoreDecoder | undefined;
/** One picture at a time: two would take twice the memory, and not be faster. */
let last: Promise<void> = Promise.resolve();

async function answer({ id, place, data, options }: Request): Promise<void> {
  try {
    decoder ??= localDecoder(place);
    const picture = await decoder.decode(data, options);
    self.postMessage({ id, picture } satisfies Response, { transfer: [picture.pixels.buffer] });
  } catch (error) {
    self.postMessage({ id, error: errorData(error) } satisfies Response);
  }
}

self.onmessage = (event: MessageEvent<Request>) => {
  last = last.then(() => answer(event.data));
};
