/**
 * Maps of codebook indices: the indices around a position choose its table, and tables are updated
 * while a map is read. docs/reference/codecs/vq.md specifies both.
 */

import type { Kernel } from "../core/kernel.js";
import { checkRange, type Reading } from "../core/reading.js";
import { type TableSet, tablesOfWeights } from "../core/tables.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { CountedTables, type Start } from "./counted.js";

/** Stands for a position without an index. */
export const ABSENT = -1;
/** What a symbol adds to its own state. */
const OWN = 1 << 16;
const MOST_CLASSES = 255;

/** A map of numbers [height, width]. */
export interface NumberMap {
  values: Int32Array;
  height: number;
  width: number;
}

/** Contexts and tables of one codebook's indices. */
export class IndexPrior implements Start {
  /** Classes of entries, and of parents. */
  readonly count: number;
  readonly parents: number;
  readonly classes: Uint8Array;
  readonly states: Uint8Array;
  readonly weights: Int32Array;
  readonly tables: TableSet;

  constructor(kernel: Kernel, arrays: Arrays, prefix: string) {
    [this.count, this.parents] = arrays.int32(`${prefix}.shape`);
    this.classes = arrays.uint8(`${prefix}.classes`);
    this.states = arrays.uint8(`${prefix}.states`);
    this.weights = arrays.int32(`${prefix}.weights`, 2);
    const [rows, slots] = arrays.shape(`${prefix}.weights`);
    const fits = this.count >= 1 && this.count <= MOST_CLASSES && this.parents >= 1
      && this.parents <= MOST_CLASSES + 1 && this.classes.length >= 2
      && this.states.length === (this.count + 1) ** 3 * this.parents
      && slots === this.classes.length + 1 && this.states.every((state) => state < rows)
      && this.classes.every((each) => each < this.count);
    if (!fits) throw new ModelError(`index contexts ${prefix} are damaged; fetch the weights again`);
    this.tables = tablesOfWeights(kernel, this.weights, slots);
  }

  get entries(): number {
    return this.classes.length;
  }
}

/**
 * Read the indices of a map, anti-diagonal by anti-diagonal.
 *
 * @param present which positions are coded.
 * @param parents the class of each position's parent; absent: none.
 */
export function readMap(
  kernel: Kernel, reading: Reading, prior: IndexPrior, present: NumberMap, parents?: Uint8Array,
): NumberMap {
  const { height, width } = present;
  const mark = kernel.mark();
  const counted = new CountedTables(kernel, prior, OWN);
  const values = new Int32Array(height * width).fill(ABSENT);
  // Classes with an empty border at the top and the left.
  const wide = width + 1;
  const classes = new Uint8Array((height + 1) * wide).fill(prior.count);
  const base = prior.count + 1;
  const places = new Int32Array(Math.min(height, width));
  for (let number = 0; number < height + width - 1; number++) {
    let count = 0;
    const last = Math.min(height, number + 1);
    for (let row = Math.max(0, number - width + 1); row < last; row++) {
      const place = row * width + number - row;
      if (present.values[place]) places[count++] = place;
    }
    if (!count) continue;
    const states = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const corner = cornerOf(places[i], width);
      const [left, above] = [classes[corner + wide], classes[corner + 1]];
      const parent = prior.parents > 1 ? parents?.[places[i]] ?? 0 : 0;
      const context = ((left * base + above) * base + classes[corner]) * prior.parents + parent;
      states[i] = prior.states[context];
    }
    const symbols = reading.take(states, counted.tables());
    checkRange(symbols, 0, prior.entries - 1, "an index");
    for (let i = 0; i < count; i++) {
      values[places[i]] = symbols[i];
      classes[cornerOf(places[i], width) + wide + 1] = prior.classes[symbols[i]];
    }
    counted.learn(states, symbols);
  }
  kernel.release(mark);
  return { values, height, width };
}

/** Return where the upper left neighbour of a position is in a plane with a border. */
function cornerOf(place: number, width: number): number {
  return Math.floor(place / width) * (width + 1) + (place % width);
}
