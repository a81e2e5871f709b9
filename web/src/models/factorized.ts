/** The model of side latents z: a table per channel, which follows the rate. */

import { RATE_INDICES, type Plane } from "../core/exact.js";
import type { Kernel } from "../core/kernel.js";
import { checkRange, type Reading } from "../core/reading.js";
import { TableSet } from "../core/tables.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";

/** Symbols are within this magnitude, which bounds the input of an integer network. */
const LIMIT = 127;
/** Tables follow the rate index in steps of this many. */
const TABLE_STEP = 4;
/** A value's unit, in units of a dequantised one. */
const UNIT = 2 ** -8;

/** Return the tables of a weights file that have a name. */
export function namedTables(kernel: Kernel, arrays: Arrays, name: string): TableSet {
  const [first, offsets, cumulative] = ["first", "offsets", "cumulative"].map((each) =>
    arrays.int32(`${name}.${each}`),
  );
  return new TableSet(kernel, first, offsets, cumulative);
}

/** Symbols of z [channels, rows, columns]. */
export interface SideSymbols {
  symbols: Int32Array;
  rows: number;
  columns: number;
}

export class Factorized {
  readonly channels: number;
  /** The largest magnitude of a value, in 256ths. */
  readonly largestValue: number;
  private readonly units: Int32Array;
  private readonly tables: TableSet[] = [];

  constructor(private readonly kernel: Kernel, arrays: Arrays) {
    this.units = arrays.int32("exact.z_units", 2);
    this.channels = this.units.length / RATE_INDICES;
    for (let set = 0; set < RATE_INDICES / TABLE_STEP; set++) {
      this.tables.push(namedTables(kernel, arrays, `tables.z.${set}`));
    }
    let largest = 0;
    for (const unit of this.units) largest = unit < 1 ? Infinity : Math.max(largest, unit);
    this.largestValue = largest * LIMIT;
    const fits = this.tables.every((each) => each.first.length === this.channels);
    if (!fits || this.channels > 256 || !(this.largestValue < 2 ** 31)) {
      throw new ModelError("the weights' model of side latents is damaged; fetch them again");
    }
  }

  /** Refuse side latents that a stream can't hold: no symbol is free. */
  require(reading: Reading, rows: number, columns: number, rateIndex: number): void {
    const tables = this.tables[Math.floor(rateIndex / TABLE_STEP)];
    reading.require(tables.leastBits.reduce((a, b) => a + b, 0) * rows * columns);
  }

  /** Read the symbols of side latents. */
  read(reading: Reading, rows: number, columns: number, rateIndex: number): SideSymbols {
    this.require(reading, rows, columns, rateIndex);
    const tables = this.tables[Math.floor(rateIndex / TABLE_STEP)];
    const positions = rows * columns;
    const index = new Uint8Array(this.channels * positions);
    for (let c = 0; c < this.channels; c++) index.fill(c, c * positions, (c + 1) * positions);
    const symbols = reading.take(index, tables);
    checkRange(symbols, -LIMIT, LIMIT, "a side symbol");
    return { symbols, rows, columns };
  }

  /** Copy the values of rows of z to the kernel's memory, in 256ths. */
  plane(z: SideSymbols, rateIndex: number, top: number, bottom: number): Plane {
    const [height, width, channels] = [bottom - top, z.columns, this.channels];
    const address = this.kernel.allocate(4 * height * width * channels);
    const values = this.kernel.int32(address, height * width * channels);
    for (let c = 0; c < channels; c++) {
      const unit = this.units[rateIndex * channels + c];
      const from = (c * z.rows + top) * width;
      for (let p = 0; p < height * width; p++) values[p * channels + c] = z.symbols[from + p] * unit;
    }
    return { address, height, width, channels };
  }

  /** Return the values of all symbols as float32 [channels, rows, columns]. */
  dequantised(z: SideSymbols, rateIndex: number): Float32Array {
    const positions = z.rows * z.columns;
    return Float32Array.from(z.symbols, (symbol, place) => {
      const channel = Math.floor(place / positions);
      return symbol * this.units[rateIndex * this.channels + channel] * UNIT;
    });
  }
}
