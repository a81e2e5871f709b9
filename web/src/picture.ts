/** A decoded picture. */

import type { FileInfo } from "./container/file.js";

/** What a file carries beside its picture. */
export interface Metadata {
  icc?: Uint8Array;
  exif?: Uint8Array;
  xmp?: Uint8Array;
}

/** What a picture looks like. */
export interface Drawn {
  width: number;
  height: number;
  /** RGBA, rows from the top, opacity not multiplied in; 4 bytes a pixel. */
  pixels: Uint8ClampedArray<ArrayBuffer>;
  /** Whether the three channels are equal. */
  grey: boolean;
  /** Whether the file has no opacity. */
  opaque: boolean;
  metadata: Metadata;
}

export interface Picture extends Drawn {
  info: FileInfo;
  /** Parts of the stream that it can be drawn from, and those that were; 1 of 1 if it has none. */
  parts: { drawn: number; all: number };
  /** What differs from what the file says, for people. */
  warnings: string[];
  /** Milliseconds that reading symbols and drawing took. */
  times: { parse: number; draw: number };
}
