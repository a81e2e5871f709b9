/** Fields of motion vectors; docs/reference/codecs/video.md specifies how they are coded. */

import type { Kernel } from "../core/kernel.js";
import type { Reading } from "../core/reading.js";
import { CorruptError } from "../errors.js";
import { CountedTables, type Learned, type Start } from "./counted.js";
import {
  ACTIVITIES, differenceTables, ENTRIES, KINDS, MODES, modeTables, PASTS, SIZES, SPAN,
} from "./vector-starts.js";

/** Pixels along a side of a block; blocks of a macroblock; the largest component of a vector. */
export const BLOCK = 8;
const BLOCKS = 4;
const LIMIT = 1 << 13;
/** What a mode and a difference add to the counts of their tables. */
const STEP = 1 << 17;
/** Modes with two vectors side by side in height or in width, and with four. */
const [ONE, FOUR] = [1, 4];
/** Which blocks have a vector of their own in each mode. */
const CODED = [[], [0], [0, 2], [0, 1], [0, 1, 2, 3]];
/** What modes count as among neighbours. */
const ACTIVITY = [0, 1, 2, 2, 2];
/** Passes over the modes: rows and columns modulo 2, and the neighbours that are known by then. */
const PASSES: { cosets: [number, number][]; neighbours: [number, number][] }[] = [
  { cosets: [[0, 0]], neighbours: [] },
  { cosets: [[1, 1]], neighbours: [[-1, -1], [-1, 1], [1, -1], [1, 1]] },
  { cosets: [[0, 1], [1, 0]], neighbours: [[-1, 0], [0, -1], [0, 1], [1, 0]] },
];
/** Bounds between classes: of activities and of differences of the frame before, of differences. */
const PAST_BOUNDS = [0, 2, 5, 9];
const PAST_SIZE_BOUNDS = [0, 2, 8];
const SIZE_BOUNDS = [0, 1, 3, 8, 24];

/** Vectors of blocks in quarter pixels, (dx, dy): int16 [2, rows, columns]. */
export interface Field {
  values: Int16Array;
  rows: number;
  columns: number;
}

/** A field, and what its group of pictures has taught the tables so far. */
export interface FieldState {
  field: Field;
  modes: Int32Array;
  /** The largest component of what the vectors of each macroblock differ by. */
  sizes: Float64Array;
  modeTables: Learned;
  tables: Learned;
}

/** Return how many bounds are below a value. */
function classOf(value: number, bounds: number[]): number {
  let found = 0;
  while (found < bounds.length && bounds[found] < value) found++;
  return found;
}

function median(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

export class VectorPrior {
  private readonly modes: Start;
  private readonly differences: Start;

  constructor(private readonly kernel: Kernel) {
    this.modes = modeTables(kernel);
    this.differences = differenceTables(kernel);
  }

  /** Read the vectors of a frame of so many rows and columns of blocks. */
  read(reading: Reading, rows: number, columns: number, before?: FieldState): FieldState {
    const mark = this.kernel.mark();
    const grid = new Grid(Math.ceil(rows / 2), Math.ceil(columns / 2));
    const modeTables = new CountedTables(this.kernel, this.modes, STEP, before?.modeTables);
    const tables = new CountedTables(this.kernel, this.differences, STEP, before?.tables);
    const modes = readModes(reading, grid, modeTables, before);
    const differences = readDifferences(reading, grid, modes, tables, before);
    const sizes = new Float64Array(grid.count);
    differences.forEach((value, i) => {
      const place = i % grid.count;
      sizes[place] = Math.max(sizes[place], Math.abs(value));
    });
    const field = fieldOf(summed(differences, sizes, grid), grid, rows, columns);
    const learned = { modeTables: modeTables.learned(), tables: tables.learned() };
    this.kernel.release(mark);
    return { field, modes, sizes, ...learned };
  }
}

/** Macroblocks in rows and columns. */
class Grid {
  constructor(readonly rows: number, readonly columns: number) {}

  get count(): number {
    return this.rows * this.columns;
  }

  /** Return a value of a macroblock, 0 outside. */
  at(values: ArrayLike<number>, row: number, column: number): number {
    const inside = row >= 0 && row < this.rows && column >= 0 && column < this.columns;
    return inside ? values[row * this.columns + column] : 0;
  }

  /** Return the 3x3 values around a macroblock, zeros outside. */
  around(values: ArrayLike<number>, place: number): number[] {
    const [row, column] = [Math.floor(place / this.columns), place % this.columns];
    return [-1, 0, 1].flatMap((down) =>
      [-1, 0, 1].map((across) => this.at(values, row + down, column + across)));
  }
}

function readModes(
  reading: Reading, grid: Grid, counted: CountedTables, before?: FieldState,
): Int32Array {
  const modes = new Int32Array(grid.count);
  const activity = new Int32Array(grid.count);
  const earlier = before?.modes.map((mode) => ACTIVITY[mode]);
  const past = Int32Array.from(modes, (_, place) => earlier
    ? 1 + classOf(grid.around(earlier, place).reduce((a, b) => a + b), PAST_BOUNDS)
    : 0);
  const tables = counted.tables();
  PASSES.forEach(({ cosets, neighbours }, number) => {
    const places: number[] = [];
    for (const [down, across] of cosets) {
      for (let row = down; row < grid.rows; row += 2) {
        for (let column = across; column < grid.columns; column += 2) {
          places.push(row * grid.columns + column);
        }
      }
    }
    if (!places.length) return;
    const states = Uint8Array.from(places, (place) => {
      const [row, column] = [Math.floor(place / grid.columns), place % grid.columns];
      const sum = neighbours.reduce(
        (total, [down, across]) => total + grid.at(activity, row + down, column + across), 0);
      return (number * ACTIVITIES + Math.min(sum, ACTIVITIES - 1)) * PASTS + past[place];
    });
    const found = reading.take(states, tables);
    if (found.some((mode) => mode < 0 || mode >= MODES)) {
      throw new CorruptError(
        "a macroblock has a mode that does not exist: the frame is damaged, fetch the file again",
      );
    }
    places.forEach((place, i) => {
      modes[place] = found[i];
      activity[place] = ACTIVITY[found[i]];
    });
    counted.learn(states, found);
  });
  return modes;
}

/** Return what the vectors of macroblocks differ by from predictions, [2, 4, macroblocks]. */
function readDifferences(
  reading: Reading, grid: Grid, modes: Int32Array, counted: CountedTables, before?: FieldState,
): Float64Array {
  const { count } = grid;
  const found = new Float64Array(2 * BLOCKS * count);
  const coded: { block: number; place: number }[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    for (let place = 0; place < count; place++) {
      if (CODED[modes[place]].includes(block)) coded.push({ block, place });
    }
  }
  if (coded.length) {
    let classes = coded.map(({ block, place }) => block || !before
      ? 0
      : 1 + classOf(Math.max(...grid.around(before.sizes, place)), PAST_SIZE_BOUNDS));
    const tables = counted.tables();
    for (let axis = 0; axis < 2; axis++) {
      const states = Uint8Array.from(coded, ({ block, place }, i) =>
        (axis * KINDS + kindOf(block, modes[place])) * SIZES + classes[i]);
      const symbols = reading.take(states, tables);
      counted.learn(states, symbols.map((s) => (s < 0 || s >= ENTRIES ? ENTRIES : s)));
      classes = Array.from(symbols, (s) => classOf(Math.abs(s - SPAN), SIZE_BOUNDS));
      coded.forEach(({ block, place }, i) => {
        found[(axis * BLOCKS + block) * count + place] = symbols[i] - SPAN;
      });
    }
  }
  for (let axis = 0; axis < 2; axis++) {
    for (let place = 0; place < count; place++) {
      const at = (block: number) => (axis * BLOCKS + block) * count + place;
      const [first, right, below, last] = [0, 1, 2, 3].map((block) => found[at(block)]);
      const expected = median(right, below, right + below);
      found[at(1)] = first + right;
      found[at(2)] = first + below;
      found[at(3)] = first + (modes[place] === FOUR ? expected + last : right + below);
    }
  }
  return found;
}

function kindOf(block: number, mode: number): number {
  if (block === 0) return mode === ONE ? 0 : 1;
  if (mode !== FOUR) return 2;
  return block === 3 ? 4 : 3;
}

/** Return the vectors of macroblocks [2, 4, macroblocks]: each is predicted from those before. */
function summed(differences: Float64Array, sizes: Float64Array, grid: Grid): Float64Array {
  const { rows, columns, count } = grid;
  if (sizes.some((size) => size > 2 * LIMIT)) {
    throw new CorruptError(
      `motion vectors differ by more than ${(2 * LIMIT) / 4} pixels: the frame is damaged`,
    );
  }
  const found = new Float64Array(differences.length);
  for (let axis = 0; axis < 2; axis++) {
    const vector = (block: number, row: number, column: number) =>
      found[(axis * BLOCKS + block) * count + row * columns + column];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const left = column ? vector(1, row, column - 1) : 0;
        const above = row ? vector(2, row - 1, column) : left;
        const side = column + 1 < columns ? column + 1 : Math.max(columns - 2, 0);
        const beside = row ? vector(2, row - 1, side) : left;
        const prediction = median(left, above, beside);
        for (let block = 0; block < BLOCKS; block++) {
          const at = (axis * BLOCKS + block) * count + row * columns + column;
          found[at] = prediction + differences[at];
        }
      }
    }
  }
  if (found.some((value) => Math.abs(value) > LIMIT)) {
    throw new CorruptError(
      `a motion vector is longer than ${LIMIT / 4} pixels: the frame is damaged`,
    );
  }
  return found;
}

/** Return the vectors of macroblocks as a field. */
function fieldOf(blocks: Float64Array, grid: Grid, rows: number, columns: number): Field {
  const values = new Int16Array(2 * rows * columns);
  for (let axis = 0; axis < 2; axis++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const block = 2 * (row % 2) + (column % 2);
        const place = (row >> 1) * grid.columns + (column >> 1);
        values[(axis * rows + row) * columns + column] =
          blocks[(axis * BLOCKS + block) * grid.count + place];
      }
    }
  }
  return { values, rows, columns };
}
