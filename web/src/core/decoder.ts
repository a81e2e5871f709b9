/** The arithmetic decoder: bytes to symbols, in the order in which they were written. */

import { CorruptError, TruncatedError } from "../errors.js";
import type { Kernel } from "./kernel.js";
import type { Tables } from "./tables.js";

/** Bits of an escaped symbol's distance are 0 to 33; their number is coded first. */
const CLASSES = 34;
/** Raw bits are coded in runs of at most this many. */
const RAW_BITS = 16;
/** The state that a writer starts from, which every stream comes back to. */
const START = 0x0151544c;
const NOTHING = Uint8Array.of(0x4c, 0x54, 0x51, 0x01);
/** Symbols that are decoded by one call: what they take of memory stays small. */
const AT_ONCE = 1 << 16;
/** Bytes of a decoder in the kernel's memory: wasm/coder.ts. */
const BYTES = 16;

export class Decoder {
  private readonly address: number;
  private readonly out: number;
  /** With no words left, a smaller state has read too far. */
  private readonly least: number;

  /**
   * @param kernel whose memory it takes until the caller releases it.
   * @param data the stream; its end is read first.
   * @param missing bytes that are not there before `data`.
   */
  constructor(private readonly kernel: Kernel, data: Uint8Array, missing = 0) {
    if (data.length && data[data.length - 1] === 0) {
      throw new CorruptError("an entropy-coded stream never ends in a zero byte; this one does");
    }
    if (data.length === NOTHING.length && data.every((byte, place) => byte === NOTHING[place])) {
      throw new CorruptError("an entropy-coded stream of nothing is empty; this one is not");
    }
    // Whole words are counted from the stream's own start.
    const kept = data.subarray((4 - (missing % 4)) % 4);
    const content = kept.length ? kept : NOTHING;
    const words = new Uint8Array(Math.ceil(content.length / 4) * 4);
    words.set(content);
    this.least = missing === 0 ? START : 2 ** 32;
    this.address = kernel.allocate(BYTES);
    const place = kernel.put(words);
    this.out = kernel.allocate(4 * AT_ONCE);
    const count = words.length / 4;
    const taken = Math.min(count, 2);
    const found = kernel.uint32(place, count);
    const state = [found[count - 1], 0];
    if (taken === 2) state.unshift(found[count - 2]);
    kernel.uint32(this.address, 4).set([state[0], state[1], place, count - taken]);
  }

  /**
   * Take the next symbols.
   *
   * @param index the table of each.
   * @param tables what `index` points into.
   * @returns int32 [n], in the order of `index`.
   */
  take(index: Uint8Array, tables: Tables): Int32Array {
    const symbols = new Int32Array(index.length);
    const { positions, ends } = inTableOrder(index, tables, symbols);
    const escapes: number[] = [];
    let start = 0;
    for (const [table, end] of ends) {
      this.takeGroup(tables, table, positions.subarray(start, end), symbols, escapes);
      start = end;
    }
    if (escapes.length) this.unescape(escapes, index, tables, symbols);
    this.checkEnd();
    return symbols;
  }

  private takeGroup(
    tables: Tables, table: number, positions: Uint32Array, symbols: Int32Array, escapes: number[],
  ): void {
    const first = tables.first[table];
    const slots = tables.slots[table];
    for (let start = 0; start < positions.length; start += AT_ONCE) {
      const count = Math.min(AT_ONCE, positions.length - start);
      this.kernel.run.take(this.address, tables.address[table], slots, count, this.out);
      const found = this.kernel.int32(this.out, count);
      for (let i = 0; i < count; i++) {
        const slot = found[i];
        const position = positions[start + i];
        symbols[position] = first + slot;
        if (slot === slots - 1) escapes.push(position);
      }
    }
  }

  /** Replace escapes by their symbols: classes of all, then raw bits class by class. */
  private unescape(
    positions: number[], index: Uint8Array, tables: Tables, symbols: Int32Array,
  ): void {
    const classes = this.takeUniform(CLASSES, positions.length);
    const values = new Float64Array(positions.length);
    for (let bits = 0; bits < CLASSES; bits++) {
      const members = [...classes.keys()].filter((place) => classes[place] === bits);
      if (!members.length) continue;
      for (const place of members) values[place] = bits ? 2 ** (bits - 1) : 0;
      for (let low = 0; low < bits - 1; low += RAW_BITS) {
        const width = Math.min(RAW_BITS, bits - 1 - low);
        const run = this.takeUniform(1 << width, members.length);
        members.forEach((place, i) => (values[place] += run[i] * 2 ** low));
      }
    }
    positions.forEach((position, place) => {
      const table = index[position];
      const distance = Math.floor(values[place] / 2);
      const first = tables.first[table];
      const symbol = values[place] % 2
        ? first - 1 - distance
        : first + tables.slots[table] - 1 + distance;
      if (symbol !== (symbol | 0)) {
        throw new CorruptError("an escaped symbol does not fit 32 bits: the stream is damaged");
      }
      symbols[position] = symbol;
    });
  }

  private takeUniform(values: number, count: number): Int32Array {
    const found = new Int32Array(count);
    for (let start = 0; start < count; start += AT_ONCE) {
      const part = Math.min(AT_ONCE, count - start);
      this.kernel.run.takeUniform(this.address, values, part, this.out);
      found.set(this.kernel.int32(this.out, part), start);
    }
    return found;
  }

  private state(): { state: number; words: number } {
    const [low, high, , words] = this.kernel.uint32(this.address, 4);
    return { state: high * 2 ** 32 + low, words };
  }

  private checkEnd(): void {
    const { state, words } = this.state();
    if (words === 0 && state < this.least) {
      throw new TruncatedError(
        "an entropy-coded stream ends before its symbols do: it was cut; fetch the file again",
      );
    }
  }

  /** Check that exactly everything was taken, and nothing was altered. */
  finish(): void {
    const { state, words } = this.state();
    if (words !== 0 || state !== START) {
      throw new CorruptError(
        "an entropy-coded stream does not end where its symbols end: it was cut, altered, or "
        + "written with another model; fetch the file again",
      );
    }
  }
}

interface Order {
  /** Where the coded elements are: by table, within a table in their own order. */
  positions: Uint32Array;
  /** Each table that codes elements, with the end of its positions. */
  ends: [table: number, end: number][];
}

/** Find the order in which elements are coded; elements of certain tables get their symbols. */
function inTableOrder(index: Uint8Array, tables: Tables, symbols: Int32Array): Order {
  const known = tables.first.length;
  const counts = new Uint32Array(256);
  for (let i = 0; i < index.length; i++) counts[index[i]]++;
  const starts = new Uint32Array(256);
  const ends: [number, number][] = [];
  let total = 0;
  for (let table = 0; table < 256; table++) {
    if (table >= known && counts[table]) {
      throw new CorruptError(`table index ${table} found, expected 0..${known - 1}`);
    }
    starts[table] = total;
    if (table >= known || tables.slots[table] === 1 || !counts[table]) continue;
    total += counts[table];
    ends.push([table, total]);
  }
  const positions = new Uint32Array(total);
  for (let i = 0; i < index.length; i++) {
    const table = index[i];
    if (tables.slots[table] === 1) symbols[i] = tables.first[table];
    else positions[starts[table]++] = i;
  }
  return { positions, ends };
}
