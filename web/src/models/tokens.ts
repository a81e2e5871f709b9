/** The stream of codec `tokens`: the first token of every tile, then the second, and so on. */

import { Kernel } from "../core/kernel.js";
import { ceilDiv } from "../core/planes.js";
import { checkRange, Reading } from "../core/reading.js";
import { type TableSet, tablesOfWeights } from "../core/tables.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import type { ParseRequest, Parsed } from "./parsed.js";

/** Pixels along a side of a tile. */
export const TILE = 256;
/** A token is two indices of 8 signs. */
export const INDICES = 2;
export const GROUP = 8;
const LAST_RATE = 252;
const MOST_TOKENS = 128;

/** Indices of a picture, int32 [tokens, 2, tiles]. */
export interface TokenSymbols extends Parsed {
  tokens: number;
  rows: number;
  columns: number;
}

/** Return most^(rate / 252), rounded, by whole numbers: it decides how bits are read. */
export function tokensAt(rate: number, most: number): number {
  const last = BigInt(LAST_RATE);
  const wanted = 2n ** last * BigInt(most) ** BigInt(rate);
  let count = 0;
  for (let n = 1; n <= most && BigInt(2 * n - 1) ** last <= wanted; n++) count = n;
  return count;
}

export class Tokens {
  /** Tokens of a tile at the highest rate. */
  readonly most: number;
  private readonly kernel = new Kernel();
  private readonly tables: TableSet;

  constructor(arrays: Arrays) {
    const [tables, slots] = arrays.shape("tables.weights");
    this.most = tables / INDICES;
    if (slots !== (1 << GROUP) + 1 || !Number.isInteger(this.most) || this.most > MOST_TOKENS) {
      throw new ModelError("the weights' tables of tokens are damaged; fetch them again");
    }
    this.tables = tablesOfWeights(this.kernel, arrays.int32("tables.weights", 2), slots);
  }

  /** Parts that a prefix of a stream can end after. */
  partsAt(rate: number): number {
    return tokensAt(rate, this.most);
  }

  parse({ payload, width, height, rate, parts, missing = 0 }: ParseRequest): TokenSymbols {
    const mark = this.kernel.mark();
    try {
      const [rows, columns] = [ceilDiv(height, TILE), ceilDiv(width, TILE)];
      const tiles = rows * columns;
      const all = this.partsAt(rate);
      const tokens = Math.min(parts ?? all, all);
      const what = `a picture of ${width}x${height}`;
      const reading = new Reading(this.kernel, payload, { progressive: true, missing, what });
      const found = reading.inParts(all, () => {
        const least = this.tables.leastBits.subarray(0, INDICES * tokens);
        reading.require(least.reduce((a, b) => a + b, 0) * tiles);
        const indices = new Int32Array(tokens * INDICES * tiles);
        for (let token = 0; token < tokens; token++) {
          const index = new Uint8Array(INDICES * tiles);
          index.fill(INDICES * token, 0, tiles).fill(INDICES * token + 1, tiles);
          const symbols = reading.take(index, this.tables);
          checkRange(symbols, 0, (1 << GROUP) - 1, "an index");
          indices.set(symbols, token * INDICES * tiles);
          reading.completePart();
        }
        return indices;
      });
      if (parts === undefined) reading.finish();
      return { symbols: [found], tokens, rows, columns };
    } finally {
      this.kernel.release(mark);
    }
  }
}
