/**
 * The context model: the tables of a step of y follow from z and from the steps before it.
 * docs/reference/codecs/context.md specifies it.
 */

import { CELL, PLACES } from "../core/cells.js";
import { ExactNet, type Plane } from "../core/exact.js";
import { Kernel } from "../core/kernel.js";
import { bands, ceilDiv, type Span } from "../core/planes.js";
import { Reading } from "../core/reading.js";
import type { TableSet } from "../core/tables.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { Factorized, namedTables, type SideSymbols } from "./factorized.js";
import { STRIDE, Z_STRIDE } from "./hyperprior.js";
import type { ParseRequest, Parsed } from "./parsed.js";

/** Cells of an element of z, along a side. */
export const Z_CELLS = Z_STRIDE / CELL;
/** Cells in a band; part of the format. */
const BAND_CELLS = 4096;
/** What stands still, as an input of networks. */
export const STILL = 256;
/** How far networks see: the steps' in cells, the trunk in elements of z. */
const REACH = 1;

/** Symbols of a picture. */
export interface ContextSymbols extends Parsed {
  z: SideSymbols;
  /** Symbols of y as cells in coding order [4 channels, height, width], and their tables. */
  cells: Int32Array;
  index: Uint8Array;
  /** In cells. */
  height: number;
  width: number;
}

/** Rows and columns of latents. */
export interface Size {
  rows: number;
  columns: number;
}

/** One picture while it is read. */
interface Scene {
  rateIndex: number;
  height: number;
  width: number;
  /** Of latents that lie beyond the picture in the last cells. */
  ragged: { rows: boolean; columns: boolean };
  /** Features of z, int32 [height, width, features]. */
  features: Int32Array;
  cells: Int32Array;
  index: Uint8Array;
}

export class Context {
  readonly side: Factorized;
  /** channel * 4 + place of each element of a cell, in coding order. */
  readonly elements: Int32Array;
  /** The elements of each step. */
  readonly spans: Span[];
  protected readonly kernel = new Kernel();
  protected readonly magnitudes: Int32Array;
  /** The network for the frame before, of models of predicted frames. */
  protected readonly past: ExactNet | undefined;
  private readonly tables: TableSet;
  private readonly trunk: ExactNet;
  private readonly nets: ExactNet[] = [];

  constructor(arrays: Arrays) {
    this.side = new Factorized(this.kernel, arrays);
    this.tables = namedTables(this.kernel, arrays, "tables.y");
    this.elements = arrays.int32("exact.elements");
    this.magnitudes = arrays.int32("exact.magnitudes");
    this.trunk = new ExactNet(this.kernel, arrays, "exact.trunk", this.side.largestValue);
    const largest = this.magnitudes.reduce((most, m) => Math.max(most, Math.abs(m)), STILL);
    if (arrays.has("exact.past.0.weight")) {
      this.past = new ExactNet(this.kernel, arrays, "exact.past", largest);
    }
    const input = Math.max(this.trunk.largestOutput, this.past?.largestOutput ?? 0, largest);
    while (arrays.has(`exact.step.${this.nets.length}.0.weight`)) {
      this.nets.push(new ExactNet(this.kernel, arrays, `exact.step.${this.nets.length}`, input));
    }
    let end = 0;
    this.spans = this.nets.map((net) => ({ start: end, stop: (end += net.outputs) }));
    this.check(end);
  }

  private check(count: number): void {
    const sorted = this.elements.slice().sort();
    const fits = sorted.length === count && count % PLACES === 0
      && sorted.every((element, place) => element === place)
      && this.magnitudes.length > 0 && this.tables.slots[0] === 1 && this.tables.first[0] === 0
      && this.nets.every((net, step) =>
        [0, this.spans[step].start].includes(net.inputs - this.features))
      && (!this.past || this.past.inputs === count + PLACES);
    if (!fits) throw new ModelError("the weights' coding order is damaged; fetch them again");
  }

  /** Features that all steps share. */
  private get features(): number {
    return this.trunk.outputs + (this.past?.outputs ?? 0);
  }

  get channels(): number {
    return this.elements.length / PLACES;
  }

  /** Parts that a prefix of a stream can end after. */
  get parts(): number {
    return 1 + this.nets.length;
  }

  parse(request: ParseRequest): ContextSymbols {
    const mark = this.kernel.mark();
    try {
      return this.read(request);
    } finally {
      this.kernel.release(mark);
    }
  }

  private read({ payload, width, height, rate, parts, missing = 0 }: ParseRequest): ContextSymbols {
    const what = `a picture of ${width}x${height}`;
    const reading = new Reading(this.kernel, payload, { progressive: true, missing, what });
    const steps = Math.min(parts ?? this.parts, this.parts) - 1;
    const size = { rows: ceilDiv(height, STRIDE), columns: ceilDiv(width, STRIDE) };
    const found = reading.inParts(this.parts, () => this.walk(reading, size, rate >> 2, steps));
    if (parts === undefined) reading.finish();
    return found;
  }

  /** Read z, then so many steps of y. */
  protected walk(
    reading: Reading, { rows, columns }: Size, rateIndex: number, steps: number, past?: Int32Array,
  ): ContextSymbols {
    const z = this.side.read(reading, ceilDiv(rows, Z_STRIDE), ceilDiv(columns, Z_STRIDE), rateIndex);
    reading.completePart();
    const [height, width] = [ceilDiv(rows, CELL), ceilDiv(columns, CELL)];
    const [cells, index] = [
      new Int32Array(this.elements.length * height * width),
      new Uint8Array(this.elements.length * height * width),
    ];
    const scene: Scene = {
      rateIndex, height, width, cells, index,
      ragged: { rows: rows % CELL !== 0, columns: columns % CELL !== 0 },
      features: this.sharedFeatures(z, rateIndex, height, width, past),
    };
    const all = bands(height, width, BAND_CELLS, Z_CELLS);
    for (let step = 0; step < steps; step++) {
      for (const band of all) this.readStep(reading, scene, step, band);
      reading.completePart();
    }
    const split = this.spans.map(({ start, stop }) =>
      cells.subarray(start * height * width, stop * height * width));
    return { symbols: [z.symbols, ...split], z, cells, index, height, width };
  }

  /** Return features of z and, if there are any, of the frame before [cells, features]. */
  private sharedFeatures(
    z: SideSymbols, rateIndex: number, height: number, width: number, past?: Int32Array,
  ): Int32Array {
    const own = this.sideFeatures(z, rateIndex, height, width);
    if (!past) return own;
    const [first, second] = [this.trunk.outputs, this.features - this.trunk.outputs];
    const found = new Int32Array(height * width * this.features);
    for (let p = 0; p < height * width; p++) {
      found.set(own.subarray(p * first, (p + 1) * first), p * this.features);
      found.set(past.subarray(p * second, (p + 1) * second), p * this.features + first);
    }
    return found;
  }

  /** Return the features of z at the cells. */
  private sideFeatures(z: SideSymbols, rateIndex: number, height: number, width: number): Int32Array {
    const channels = this.trunk.outputs;
    const features = new Int32Array(height * width * channels);
    for (const band of bands(height, width, BAND_CELLS, Z_CELLS)) {
      const mark = this.kernel.mark();
      const low = Math.max(band.start / Z_CELLS - REACH, 0);
      const high = Math.min(ceilDiv(band.stop, Z_CELLS) + REACH, z.rows);
      const made = this.trunk.apply(this.side.plane(z, rateIndex, low, high), rateIndex);
      const values = this.kernel.int32(made.address, made.height * made.width * channels);
      for (let row = band.start; row < band.stop; row++) {
        const from = (row - low * Z_CELLS) * made.width * channels;
        features.set(values.subarray(from, from + width * channels), row * width * channels);
      }
      this.kernel.release(mark);
    }
    return features;
  }

  /** Read one step in a band of rows. */
  private readStep(reading: Reading, scene: Scene, step: number, band: Span): void {
    const { height, width, cells, index } = scene;
    const span = this.spans[step];
    const found = this.stepIndex(scene, step, band);
    const symbols = reading.take(found, this.tables);
    const size = (band.stop - band.start) * width;
    for (let e = span.start; e < span.stop; e++) {
      const from = (e - span.start) * size;
      const to = (e * height + band.start) * width;
      cells.set(symbols.subarray(from, from + size), to);
      index.set(found.subarray(from, from + size), to);
    }
  }

  /** Return the tables of a step in a band, element by element. */
  private stepIndex(scene: Scene, step: number, band: Span): Uint8Array {
    const { height, width, ragged } = scene;
    const mark = this.kernel.mark();
    const top = Math.max(band.start - REACH, 0);
    const bottom = Math.min(band.stop + REACH, height);
    const made = this.nets[step].apply(this.seen(scene, step, top, bottom), scene.rateIndex);
    const values = this.kernel.int32(made.address, made.height * width * made.channels);
    const rows = band.stop - band.start;
    const size = rows * width;
    const index = new Uint8Array(made.channels * size);
    const from = (band.start - top) * width;
    for (let p = 0; p < size; p++) {
      const place = (from + p) * made.channels;
      for (let e = 0; e < made.channels; e++) index[e * size + p] = values[place + e];
    }
    // A last cell may reach beyond the latents; elements there are certain to be zero.
    for (let e = 0; e < made.channels; e++) {
      const place = this.elements[this.spans[step].start + e] % PLACES;
      if (ragged.rows && band.stop === height && place >= CELL) {
        index.fill(0, (e + 1) * size - width, (e + 1) * size);
      }
      if (ragged.columns && place % CELL === 1) {
        for (let row = 1; row <= rows; row++) index[e * size + row * width - 1] = 0;
      }
    }
    this.kernel.release(mark);
    return index;
  }

  /** Copy features and the magnitudes of earlier symbols to the kernel's memory. */
  private seen(scene: Scene, step: number, top: number, bottom: number): Plane {
    const { width, height, features, cells } = scene;
    const channels = this.nets[step].inputs;
    const first = this.features;
    const positions = (bottom - top) * width;
    const address = this.kernel.allocate(4 * positions * channels);
    const values = this.kernel.int32(address, positions * channels);
    for (let p = 0; p < positions; p++) {
      const from = (top * width + p) * first;
      values.set(features.subarray(from, from + first), p * channels);
    }
    for (let e = 0; e < channels - first; e++) {
      const from = (e * height + top) * width;
      for (let p = 0; p < positions; p++) {
        values[p * channels + first + e] = this.magnitude(cells[from + p]);
      }
    }
    return { address, height: bottom - top, width, channels };
  }

  /** Return a symbol as the networks take it. */
  protected magnitude(symbol: number): number {
    const last = this.magnitudes.length - 1;
    const size = symbol < 0 ? -symbol : symbol;
    return this.magnitudes[size < last ? size : last];
  }
}
