/** What a page and its worker send to each other. */

import type { DecodeOptions } from "../decoder.js";
import type { ErrorData } from "../errors.js";
import type { Picture } from "../picture.js";

export interface Request {
  id: number;
  /** Holds the folders `models` and `ort`. */
  base: string;
  data: Uint8Array;
  options: DecodeOptions;
}

export type Response = { id: number; picture: Picture } | { id: number; error: ErrorData };
