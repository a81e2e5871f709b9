/** Reading symbols from the stream of an image part. */

import { BitstreamError, CorruptError, TruncatedError, UnsupportedError } from "../errors.js";
import { Decoder } from "./decoder.js";
import type { Kernel } from "./kernel.js";
import type { Tables } from "./tables.js";

/** Return the error for an image part that can't hold what its header says. */
export function tooSmall(size: number, least: number, what: string, cut = false): BitstreamError {
  const lack = `${what} needs at least ${least} bytes of image part, this one has ${size}`;
  return cut
    ? new TruncatedError(`${lack}: it was cut, fetch it again`)
    : new CorruptError(`${lack}: its header is wrong, fetch the file again`);
}

/** How a stream is stored. */
export interface StreamOptions {
  /** Whether it is stored last byte first. */
  progressive?: boolean;
  /** Bytes that a progressive stream lacks at its end. */
  missing?: number;
  /** What it codes, for errors. */
  what: string;
}

export class Reading {
  private readonly decoder: Decoder;
  private readonly size: number;
  private readonly cut: boolean;
  private readonly what: string;
  private whole = 0;

  constructor(kernel: Kernel, data: Uint8Array, options: StreamOptions) {
    const { progressive = false, missing = 0, what } = options;
    [this.size, this.cut, this.what] = [data.length, missing > 0, what];
    if (progressive && data[0] === 0) {
      throw new UnsupportedError(
        "the picture holds synthetic tiles, which are not read here; decompress it with Quantal",
      );
    }
    this.decoder = new Decoder(kernel, progressive ? new Uint8Array(data).reverse() : data, missing);
  }

  /** Refuse symbols that cost more bits than the stream has, before memory is allocated. */
  require(bits: number): void {
    // The coder's state holds a few bits more than the bytes do.
    if (this.size + 8 < bits / 8) {
      throw tooSmall(this.size, Math.floor(bits / 8), this.what, this.cut);
    }
  }

  take(index: Uint8Array, tables: Tables): Int32Array {
    return this.decoder.take(index, tables);
  }

  /** State that a part of the stream is complete; a prefix may end here. */
  completePart(): void {
    this.whole += 1;
  }

  finish(): void {
    this.decoder.finish();
  }

  /** Run a walk through a stream of so many parts; a cut one is named by the part it ends in. */
  inParts<Result>(parts: number, walk: () => Result): Result {
    try {
      return walk();
    } catch (error) {
      if (!(error instanceof TruncatedError) || parts === 1) throw error;
      const { whole } = this;
      const advice = whole ? `, or draw the ${whole} parts that are there` : "";
      throw new TruncatedError(
        `the stream was cut inside part ${whole + 1} of its ${parts}; fetch it again${advice}`,
        whole ? "prefix" : "",
        { parts: whole },
      );
    }
  }
}

/** Refuse symbols beyond a range; `what` is such a symbol. */
export function checkRange(symbols: Int32Array, low: number, high: number, what: string): void {
  for (const symbol of symbols) {
    if (symbol < low || symbol > high) {
      throw new CorruptError(
        `${what} is ${symbol}, expected ${low}..${high}: the image part is damaged, fetch the `
        + "file again",
      );
    }
  }
}
