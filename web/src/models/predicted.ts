/**
 * The model of predicted frames: a context model that also sees the frame before.
 * docs/reference/codecs/video.md specifies it.
 */

import { CELL, gather, PLACES, scatter } from "../core/cells.js";
import { bands, ceilDiv } from "../core/planes.js";
import { Reading } from "../core/reading.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { Context, type ContextSymbols, type Size, STILL } from "./context.js";
import { STRIDE, Z_STRIDE } from "./hyperprior.js";
import { BLOCK, type Field, type FieldState, VectorPrior } from "./vectors.js";

/** Cells in a band, and how far the network for the frame before sees, in cells. */
const BAND_CELLS = 4096;
const REACH = 1;
/** Units of a vector in a latent. */
const UNIT = 64;

/** Everything about a frame that the parsing of the next one depends on. */
export interface FrameSymbols {
  width: number;
  height: number;
  /** Symbols of the latents [channels, rows, columns]; none of an intra frame. */
  y?: Int32Array;
  /** What the coding of vectors has learned; none without motion. */
  vectors?: FieldState;
}

/** A predicted frame that was read. */
export interface PredictedSymbols {
  frame: FrameSymbols;
  parsed: ContextSymbols;
  size: Size;
  /** Which latents stand still, and where the prediction is taken whole. */
  still: Uint8Array;
  held: Uint8Array;
}

export class Predicted extends Context {
  /** The picture codec that has the transforms and codes intra frames. */
  readonly picture: { codec: string; hash: string };
  private readonly vectors: VectorPrior | undefined;

  constructor(arrays: Arrays) {
    super(arrays);
    let about: { picture?: unknown; picture_hash?: unknown; motion?: unknown };
    try {
      about = JSON.parse(arrays.metadata.model ?? "") as typeof about;
    } catch {
      about = {};
    }
    const { picture, picture_hash: hash, motion } = about;
    if (!this.past || typeof picture !== "string" || typeof hash !== "string") {
      throw new ModelError("these are no weights of a video codec; fetch them again");
    }
    this.picture = { codec: picture, hash };
    this.vectors = motion ? new VectorPrior(this.kernel) : undefined;
  }

  /** Read a predicted frame, given the one before. */
  parsePredicted(payload: Uint8Array, before: FrameSymbols, rate: number): PredictedSymbols {
    const mark = this.kernel.mark();
    try {
      return this.readFrame(payload, before, rate);
    } finally {
      this.kernel.release(mark);
    }
  }

  private readFrame(payload: Uint8Array, before: FrameSymbols, rate: number): PredictedSymbols {
    const { width, height } = before;
    const size = { rows: ceilDiv(height, STRIDE), columns: ceilDiv(width, STRIDE) };
    const reading = new Reading(this.kernel, payload, { what: `a frame of ${width}x${height}` });
    // Before anything of the size that a header states is allocated.
    const [rows, columns] = [ceilDiv(size.rows, Z_STRIDE), ceilDiv(size.columns, Z_STRIDE)];
    this.side.require(reading, rows, columns, rate >> 2);
    const vectors = this.vectors?.read(
      reading, ceilDiv(height, BLOCK), ceilDiv(width, BLOCK), before.vectors);
    const field = vectors?.field;
    const still = field ? stillLatents(field, size) : uncodedLatents(before.y, size);
    // Without motion nothing says what moves after an intra frame: there all is held.
    const held = !field && !before.y ? new Uint8Array(still.length).fill(1) : still;
    const past = this.pastFeatures(before.y && field ? moved(before.y, field, size) : before.y, still, size);
    const parsed = this.walk(reading, size, rate >> 2, this.spans.length, past);
    reading.finish();
    const y = new Int32Array(this.channels * size.rows * size.columns);
    scatter(parsed.cells, this.elements, size.rows, size.columns, y);
    return { frame: { width, height, y, vectors }, parsed, size, still, held };
  }

  /** Return features of the frame before [cells, features]. */
  private pastFeatures(y: Int32Array | undefined, still: Uint8Array, size: Size): Int32Array {
    const net = this.past;
    if (!net) throw new ModelError("these are no weights of a video codec");
    const { rows, columns } = size;
    const [height, width] = [ceilDiv(rows, CELL), ceilDiv(columns, CELL)];
    const count = this.elements.length;
    const cells = new Int32Array(count * height * width);
    if (y) gather(y, rows, columns, this.elements, cells);
    const places = stillCells(still, size);
    const found = new Int32Array(height * width * net.outputs);
    for (const band of bands(height, width, BAND_CELLS, 1)) {
      const mark = this.kernel.mark();
      const [top, bottom] = [Math.max(band.start - REACH, 0), Math.min(band.stop + REACH, height)];
      const positions = (bottom - top) * width;
      const address = this.kernel.allocate(4 * positions * net.inputs);
      const values = this.kernel.int32(address, positions * net.inputs);
      for (let p = 0; p < positions; p++) {
        const cell = top * width + p;
        for (let e = 0; e < count; e++) {
          values[p * net.inputs + e] = this.magnitude(cells[e * height * width + cell]);
        }
        for (let place = 0; place < PLACES; place++) {
          values[p * net.inputs + count + place] = places[place * height * width + cell] * STILL;
        }
      }
      const made = net.apply({ address, height: bottom - top, width, channels: net.inputs }, 0);
      const from = (band.start - top) * width * net.outputs;
      const length = (band.stop - band.start) * width * net.outputs;
      found.set(
        this.kernel.int32(made.address, positions * net.outputs).subarray(from, from + length),
        band.start * width * net.outputs);
      this.kernel.release(mark);
    }
    return found;
  }
}

/** Return flags of latents at the places of cells, [4, height, width]. */
export function stillCells(flags: Uint8Array, { rows, columns }: Size): Int32Array {
  const cells = new Int32Array(PLACES * ceilDiv(rows, CELL) * ceilDiv(columns, CELL));
  return gather(Int32Array.from(flags), rows, columns, Int32Array.of(0, 1, 2, 3), cells);
}

/** Return symbols where the motion brings them, in whole latents. */
function moved(y: Int32Array, field: Field, { rows, columns }: Size): Int32Array {
  const found = new Int32Array(y.length);
  const channels = y.length / (rows * columns);
  const size = field.rows * field.columns;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = 2 * row * field.columns + 2 * column;
      const step = (axis: number) =>
        Math.floor((field.values[axis * size + block] + UNIT / 2) / UNIT);
      const from = Math.min(Math.max(row + step(1), 0), rows - 1) * columns
        + Math.min(Math.max(column + step(0), 0), columns - 1);
      const to = row * columns + column;
      for (let c = 0; c < channels; c++) {
        found[c * rows * columns + to] = y[c * rows * columns + from];
      }
    }
  }
  return found;
}

/** Return which latents stand still: no vector of theirs or of a latent beside them moves. */
function stillLatents(field: Field, size: Size): Uint8Array {
  const moving = new Uint8Array(size.rows * size.columns);
  const count = field.rows * field.columns;
  for (let row = 0; row < field.rows; row++) {
    for (let column = 0; column < field.columns; column++) {
      const block = row * field.columns + column;
      if (field.values[block] || field.values[count + block]) {
        moving[(row >> 1) * size.columns + (column >> 1)] = 1;
      }
    }
  }
  return apart(moving, size);
}

/** Return which latents have no symbol, and none beside them; none where there are no symbols. */
function uncodedLatents(y: Int32Array | undefined, size: Size): Uint8Array {
  const count = size.rows * size.columns;
  const coded = new Uint8Array(count);
  if (!y) return coded;
  y.forEach((symbol, place) => {
    if (symbol) coded[place % count] = 1;
  });
  return apart(coded, size);
}

/** Return where neither a place nor one of the eight around it is set. */
function apart(places: Uint8Array, { rows, columns }: Size): Uint8Array {
  const found = new Uint8Array(places.length).fill(1);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!places[row * columns + column]) continue;
      for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, rows - 1); r++) {
        const [left, right] = [Math.max(column - 1, 0), Math.min(column + 2, columns)];
        found.fill(0, r * columns + left, r * columns + right);
      }
    }
  }
  return found;
}
