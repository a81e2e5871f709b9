/**
 * The hyperprior: z gives the table of every latent.
 * docs/reference/codecs/hyperprior.md specifies it.
 */

import { ExactNet } from "../core/exact.js";
import { Kernel } from "../core/kernel.js";
import { bands, ceilDiv, type Span } from "../core/planes.js";
import { Reading } from "../core/reading.js";
import type { TableSet } from "../core/tables.js";
import type { Arrays } from "../weights/safetensors.js";
import { Factorized, namedTables, type SideSymbols } from "./factorized.js";
import type { ParseRequest, Parsed } from "./parsed.js";

/** Pixels of a latent; latents of an element of z. */
export const STRIDE = 16;
export const Z_STRIDE = 4;
/** Latents per channel in a band; part of the format. */
export const BAND_POSITIONS = 16384;
/** Elements of z around a band that its scales depend on. */
const REACH = 2;

/** Symbols of a picture: z, and y [channels, rows, columns]. */
export interface HyperpriorSymbols extends Parsed {
  z: SideSymbols;
  y: Int32Array;
  rows: number;
  columns: number;
}

export class Hyperprior {
  readonly side: Factorized;
  readonly channels: number;
  private readonly kernel = new Kernel();
  private readonly tables: TableSet;
  private readonly scale: ExactNet;

  constructor(arrays: Arrays) {
    this.side = new Factorized(this.kernel, arrays);
    this.scale = new ExactNet(this.kernel, arrays, "exact", this.side.largestValue);
    this.tables = namedTables(this.kernel, arrays, "tables.y");
    this.channels = this.scale.outputs;
  }

  parse({ payload, width, height, rate }: ParseRequest): HyperpriorSymbols {
    const mark = this.kernel.mark();
    try {
      const [rows, columns] = [ceilDiv(height, STRIDE), ceilDiv(width, STRIDE)];
      const rateIndex = rate >> 2;
      const reading = new Reading(this.kernel, payload, { what: `a picture of ${width}x${height}` });
      const z = this.side.read(reading, ceilDiv(rows, Z_STRIDE), ceilDiv(columns, Z_STRIDE), rateIndex);
      const y = new Int32Array(this.channels * rows * columns);
      for (const band of bands(rows, columns, BAND_POSITIONS, Z_STRIDE)) {
        const index = this.index(z, rateIndex, band, columns);
        const found = reading.take(index, this.tables);
        const size = (band.stop - band.start) * columns;
        for (let c = 0; c < this.channels; c++) {
          const place = (c * rows + band.start) * columns;
          y.set(found.subarray(c * size, (c + 1) * size), place);
        }
      }
      reading.finish();
      return { symbols: [z.symbols, y], z, y, rows, columns };
    } finally {
      this.kernel.release(mark);
    }
  }

  /** Return the table of each element of a band, channel by channel. */
  private index(z: SideSymbols, rateIndex: number, band: Span, columns: number): Uint8Array {
    const mark = this.kernel.mark();
    const low = Math.max(band.start / Z_STRIDE - REACH, 0);
    const high = Math.min(ceilDiv(band.stop, Z_STRIDE) + REACH, z.rows);
    const made = this.scale.apply(this.side.plane(z, rateIndex, low, high), rateIndex);
    const { width, channels } = made;
    const values = this.kernel.int32(made.address, made.height * width * channels);
    const height = band.stop - band.start;
    const top = band.start - low * Z_STRIDE;
    const index = new Uint8Array(channels * height * columns);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < columns; column++) {
        const from = ((top + row) * width + column) * channels;
        const to = row * columns + column;
        for (let c = 0; c < channels; c++) index[c * height * columns + to] = values[from + c];
      }
    }
    this.kernel.release(mark);
    return index;
  }
}
