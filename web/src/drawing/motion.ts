/**
 * Motion compensation: a frame moved by a field of vectors;
 * docs/reference/codecs/video.md specifies it.
 */

import { BLOCK, type Field } from "../models/vectors.js";
import { emptyPlane, type FloatPlane } from "../networks/plane.js";

/** HEVC's filters for the phases 0, 1/4, 1/2 and 3/4; they begin 3 pixels before the first. */
const FILTERS = [
  [0, 0, 0, 64, 0, 0, 0, 0],
  [-1, 4, -10, 58, 17, -5, 1, 0],
  [-1, 4, -11, 40, 40, -11, 4, -1],
  [0, 1, -5, 17, 58, -10, 4, -1],
].map((taps) => Float32Array.from(taps, (tap) => tap / 64));
const TAPS = 8;
const BEFORE = 3;
/** A block with half a block around it is predicted by each vector, and what that is made of. */
const HALF = BLOCK / 2;
const WINDOW = 2 * BLOCK;
const PATCH = WINDOW + TAPS - 1;
const COLOURS = 3;
const SIZE = WINDOW * WINDOW;
/** Weights of the prediction by the nearer block beside, across a block. */
const BESIDE = Float32Array.of(7, 5, 3, 1, 1, 3, 5, 7).map((part) => part / 24);

/**
 * Return the prediction of a frame from the one before.
 *
 * @param reference float32 [3, H, W], sides multiples of 8; it continues with its edge.
 */
export function compensated(reference: FloatPlane, field: Field): FloatPlane {
  const found = emptyPlane(COLOURS, reference.height, reference.width);
  const make = (row: number) => predictions(reference, field, row);
  let [above, here]: [Float32Array | undefined, Float32Array] = [undefined, make(0)];
  for (let row = 0; row < field.rows; row++) {
    const below = row + 1 < field.rows ? make(row + 1) : undefined;
    for (let column = 0; column < field.columns; column++) {
      for (let colour = 0; colour < COLOURS; colour++) {
        blend(found, here, above, below, row, column, colour, field.columns);
      }
    }
    [above, here] = [here, below ?? here];
  }
  return found;
}

/** Put the mean of three predictions into a block of a frame. */
function blend(
  found: FloatPlane, here: Float32Array, above: Float32Array | undefined,
  below: Float32Array | undefined, row: number, column: number, colour: number, columns: number,
): void {
  const at = (place: number) => (place * COLOURS + colour) * SIZE;
  const own = at(column);
  const left = column > 0 ? at(column - 1) : -1;
  const right = column + 1 < columns ? at(column + 1) : -1;
  for (let y = 0; y < BLOCK; y++) {
    const upper = y < HALF;
    const other = upper ? above : below;
    // The half of a neighbour's window that reaches into this block.
    const otherRow = (upper ? y + BLOCK + HALF : y - HALF) * WINDOW + HALF;
    const ownRow = (y + HALF) * WINDOW + HALF;
    const to = (colour * found.height + row * BLOCK + y) * found.width + column * BLOCK;
    for (let x = 0; x < BLOCK; x++) {
      const value = here[own + ownRow + x];
      const vertical = other ? other[own + otherRow + x] - value : 0;
      const side = x < HALF ? left : right;
      const sideColumn = x < HALF ? x + BLOCK : x - BLOCK;
      const horizontal = side < 0 ? 0 : here[side + ownRow + sideColumn] - value;
      found.data[to + x] = value + vertical * BESIDE[y] + horizontal * BESIDE[x];
    }
  }
}

/** Return what the vectors of a row of blocks predict for their windows: [columns, 3, 16, 16]. */
function predictions(reference: FloatPlane, field: Field, row: number): Float32Array {
  const found = new Float32Array(field.columns * COLOURS * SIZE);
  const count = field.rows * field.columns;
  const patch = new Float32Array(PATCH * PATCH);
  const across = new Float32Array(PATCH * WINDOW);
  for (let column = 0; column < field.columns; column++) {
    const block = row * field.columns + column;
    const [dx, dy] = [field.values[block], field.values[count + block]];
    const top = (dy >> 2) + BLOCK * row - HALF - BEFORE;
    const left = (dx >> 2) + BLOCK * column - HALF - BEFORE;
    for (let colour = 0; colour < COLOURS; colour++) {
      cut(reference, colour, top, left, patch);
      filterRows(patch, FILTERS[dx & 3], dx & 3, across);
      filterColumns(across, FILTERS[dy & 3], dy & 3, found, (column * COLOURS + colour) * SIZE);
    }
  }
  return found;
}

/** Copy a square of a plane, which continues with its edge. */
function cut(plane: FloatPlane, colour: number, top: number, left: number, patch: Float32Array): void {
  const { height, width, data } = plane;
  const inside = left >= 0 && left + PATCH <= width;
  for (let y = 0; y < PATCH; y++) {
    const from = (colour * height + Math.min(Math.max(top + y, 0), height - 1)) * width;
    if (inside) {
      patch.set(data.subarray(from + left, from + left + PATCH), y * PATCH);
      continue;
    }
    for (let x = 0; x < PATCH; x++) {
      patch[y * PATCH + x] = data[from + Math.min(Math.max(left + x, 0), width - 1)];
    }
  }
}

function filterRows(patch: Float32Array, taps: Float32Array, phase: number, found: Float32Array): void {
  for (let y = 0; y < PATCH; y++) {
    for (let x = 0; x < WINDOW; x++) {
      const from = y * PATCH + x;
      let sum = patch[from + BEFORE];
      if (phase) {
        sum = 0;
        for (let tap = 0; tap < TAPS; tap++) sum += patch[from + tap] * taps[tap];
      }
      found[y * WINDOW + x] = sum;
    }
  }
}

function filterColumns(
  across: Float32Array, taps: Float32Array, phase: number, found: Float32Array, place: number,
): void {
  for (let y = 0; y < WINDOW; y++) {
    for (let x = 0; x < WINDOW; x++) {
      const from = y * WINDOW + x;
      let sum = across[from + BEFORE * WINDOW];
      if (phase) {
        sum = 0;
        for (let tap = 0; tap < TAPS; tap++) sum += across[from + tap * WINDOW] * taps[tap];
      }
      found[place + from] = sum;
    }
  }
}
