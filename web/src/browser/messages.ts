/** What a page and its worker send to each other. */

import type { ClipFrame } from "../clip.js";
import type { ClipInfo } from "../container/clip.js";
import type { DecodeOptions } from "../decoder.js";
import type { ErrorData } from "../errors.js";
import type { Picture } from "../picture.js";
import type { Place } from "./local.js";

/** What can be asked for, by its kind. */
export interface Questions {
  decode: { data: Uint8Array; options: DecodeOptions };
  /** Opens a clip, which has a number of its own from then on. */
  open: { clip: number; data: Uint8Array };
  frame: { clip: number; number: number };
  close: { clip: number };
}

/** The answers to them. */
export interface Answers {
  decode: Picture;
  open: ClipInfo;
  frame: ClipFrame;
  close: undefined;
}

export type Kind = keyof Questions;

/** A question with its kind. */
export type Asked = { [Each in Kind]: { kind: Each } & Questions[Each] }[Kind];

export type Request = { id: number; place: Place } & Asked;

export type Response = { id: number; result: Answers[Kind] } | { id: number; error: ErrorData };
