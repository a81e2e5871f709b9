/**
 * The model of classes: every position says its tables.
 * docs/reference/codecs/wavelet.md specifies it.
 */

import { RATE_INDICES } from "../core/exact.js";
import { Kernel } from "../core/kernel.js";
import { ceilDiv } from "../core/planes.js";
import { checkRange, Reading } from "../core/reading.js";
import type { TableSet } from "../core/tables.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { namedTables } from "./factorized.js";
import { STRIDE } from "./hyperprior.js";
import type { ParseRequest, Parsed } from "./parsed.js";

/** Tables of classes follow the rate index in steps of this many. */
const CLASS_STEP = 4;

/** Symbols of a picture: classes, and y [channels, rows, columns] with its tables. */
export interface ClassSymbols extends Parsed {
  y: Int32Array;
  index: Uint8Array;
  rows: number;
  columns: number;
}

export class Classes {
  readonly channels: number;
  /** Channels of which differences are coded. */
  readonly slow: Int32Array;
  private readonly kernel = new Kernel();
  private readonly count: number;
  private readonly scales: Uint8Array;
  private readonly classTables: TableSet;
  private readonly tables: TableSet;

  constructor(arrays: Arrays) {
    const [rates, count, channels] = arrays.shape("exact.scales");
    this.scales = arrays.uint8("exact.scales", 3);
    this.slow = arrays.int32("exact.slow");
    this.classTables = namedTables(this.kernel, arrays, "tables.classes");
    this.tables = namedTables(this.kernel, arrays, "tables.y");
    [this.count, this.channels] = [count, channels];
    const known = this.tables.first.length;
    const fits = rates === RATE_INDICES && count >= 1 && channels >= 1
      && this.scales.every((scale) => scale < known)
      && this.classTables.first.length === RATE_INDICES / CLASS_STEP
      && this.classTables.slots.every((slots) => slots > 1)
      && this.slow.every((c, i) => c >= 0 && c < channels && (i === 0 || c > this.slow[i - 1]));
    if (!fits) throw new ModelError("the weights' model of classes is damaged; fetch them again");
  }

  parse({ payload, width, height, rate }: ParseRequest): ClassSymbols {
    const mark = this.kernel.mark();
    try {
      const [rows, columns] = [ceilDiv(height, STRIDE), ceilDiv(width, STRIDE)];
      const positions = rows * columns;
      const rateIndex = rate >> 2;
      const reading = new Reading(this.kernel, payload, { what: `a picture of ${width}x${height}` });
      const table = Math.floor(rateIndex / CLASS_STEP);
      // No class is free, so a size that the bytes can't hold is refused at once.
      reading.require(this.classTables.leastBits[table] * positions);
      const classes = reading.take(new Uint8Array(positions).fill(table), this.classTables);
      checkRange(classes, 0, this.count - 1, "the class of a position");
      const index = new Uint8Array(this.channels * positions);
      for (let p = 0; p < positions; p++) {
        const from = (rateIndex * this.count + classes[p]) * this.channels;
        for (let c = 0; c < this.channels; c++) index[c * positions + p] = this.scales[from + c];
      }
      const y = reading.take(index, this.tables);
      reading.finish();
      return { symbols: [classes, y], y, index, rows, columns };
    } finally {
      this.kernel.release(mark);
    }
  }

  /** Return symbols with the differences of slow channels added up; sums wrap around. */
  summed({ y, rows, columns }: ClassSymbols): Int32Array {
    const found = y.slice();
    for (const channel of this.slow) {
      const plane = found.subarray(channel * rows * columns, (channel + 1) * rows * columns);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const place = row * columns + column;
          if (column) plane[place] += plane[place - 1];
          else if (row) plane[place] += plane[place - columns];
        }
      }
    }
    return found;
  }
}
