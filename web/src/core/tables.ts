/** Probability tables as stored integers: what the coder reads, equal on every machine. */

import { ModelError } from "../errors.js";
import type { Kernel } from "./kernel.js";

export const TOTAL = 1 << 24;
const MOST_TABLES = 256;
const LARGEST_SYMBOL = 1 << 20;

/** Tables as the coder takes them. */
export interface Tables {
  /** The first symbol of each table. */
  readonly first: Int32Array;
  /** Slots of each table, its escape included; a table of one slot is certain of its symbol. */
  readonly slots: Int32Array;
  /** The address of each table's cumulative counts in the kernel's memory. */
  readonly address: Uint32Array;
}

/** Up to 256 tables of a weights file, validated. */
export class TableSet implements Tables {
  readonly slots: Int32Array;
  readonly address: Uint32Array;
  /** The fewest bits that a symbol of each table can cost; bounds what a file can hold. */
  readonly leastBits: Float64Array;

  /**
   * @param kernel where the counts are copied to.
   * @param first the first symbol of each table.
   * @param offsets where each table starts in `cumulative`, and the end.
   * @param cumulative for a table of n slots the n + 1 values 0, ..., 2^24.
   */
  constructor(kernel: Kernel, readonly first: Int32Array, offsets: Int32Array, cumulative: Int32Array) {
    const count = first.length;
    if (count < 1 || count > MOST_TABLES || offsets.length !== count + 1) {
      throw new ModelError(`probability tables: ${count} tables with ${offsets.length} offsets`);
    }
    if (offsets[0] !== 0 || offsets[count] !== cumulative.length) {
      throw new ModelError("probability tables: offsets do not divide the cumulative counts");
    }
    this.slots = new Int32Array(count);
    this.leastBits = new Float64Array(count);
    for (let table = 0; table < count; table++) {
      if (Math.abs(first[table]) > LARGEST_SYMBOL) {
        throw new ModelError("probability tables: a first symbol is out of range");
      }
      const [start, end] = [offsets[table], offsets[table + 1]];
      this.slots[table] = end - start - 1;
      this.leastBits[table] = -Math.log2(largestWeight(cumulative.subarray(start, end)) / TOTAL);
    }
    const base = kernel.put(cumulative);
    this.address = Uint32Array.from({ length: count }, (_, table) => base + 4 * offsets[table]);
  }
}

/** Return the largest weight of one table's counts; ModelError if they form no table. */
function largestWeight(counts: Int32Array): number {
  const last = counts.length - 1;
  let largest = 0;
  for (let slot = 1; slot <= last; slot++) {
    const weight = counts[slot] - counts[slot - 1];
    if (weight <= 0) largest = Infinity;
    largest = Math.max(largest, weight);
  }
  if (last < 1 || counts[0] !== 0 || counts[last] !== TOTAL || largest > TOTAL) {
    throw new ModelError(
      `probability tables: a table must start at 0, increase strictly and end at ${TOTAL}`,
    );
  }
  return largest;
}

/** Return the tables of rows of weights [tables, slots], whose symbols start at 0. */
export function tablesOfWeights(kernel: Kernel, weights: Int32Array, slots: number): TableSet {
  const count = weights.length / slots;
  const cumulative = new Int32Array(count * (slots + 1));
  for (let table = 0; table < count; table++) {
    for (let slot = 0; slot < slots; slot++) {
      const place = table * (slots + 1) + slot;
      cumulative[place + 1] = cumulative[place] + weights[table * slots + slot];
    }
  }
  const offsets = Int32Array.from({ length: count + 1 }, (_, table) => table * (slots + 1));
  return new TableSet(kernel, new Int32Array(count), offsets, cumulative);
}
