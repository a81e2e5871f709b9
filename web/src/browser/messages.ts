/** What a page and its worker send to each other. */

import type { DecodeOptions } from "../decoder.js";
import type { ErrorData } from "../errors.js";
import type { Picture } from "../picture.js";
import type { Place } from "./local.js";

export interface Request {
  id: number;
  place: Place;
  data: Uint8Array;
  options: DecodeOptions;
}

export type Response = { id: number; picture: Picture } | { id: number; error: ErrorData };
