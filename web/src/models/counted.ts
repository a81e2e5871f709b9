/**
 * Tables that follow the symbols that are read with them;
 * docs/reference/codecs/vq.md specifies them.
 */

import type { Kernel } from "../core/kernel.js";
import type { TableSet, Tables } from "../core/tables.js";

/** What a symbol adds to all states, and the most that all symbols together add. */
const SHARED = 1 << 14;
const MOST_SHARED = 1 << 24;
/** Tables follow the counts when there are so many new symbols, and one for every 32 before. */
const RENEW = 48;
const RENEW_SHIFT = 5;

/** What tables start from. */
export interface Start {
  readonly tables: TableSet;
  /** The weights of all slots [states, entries + 1]. */
  readonly weights: Int32Array;
  readonly entries: number;
}

/** What tables have learned, outside of the kernel's memory. */
export interface Learned {
  counts: Uint8Array;
  often: Uint8Array;
  bounds: Uint8Array;
  seen: number;
  fresh: number;
}

export class CountedTables {
  private readonly renewed: Tables;
  private readonly counts: number;
  private readonly often: number;
  private readonly bounds: number;
  private readonly slots: number;
  private readonly states: number;
  private seen = 0;
  private fresh = 0;

  /**
   * @param kernel whose memory is taken until the caller releases it.
   * @param start what to start from.
   * @param own what a symbol adds to its own state.
   * @param learned by earlier tables of the same start, which go on from there.
   */
  constructor(
    private readonly kernel: Kernel, private readonly start: Start, private readonly own: number,
    learned?: Learned,
  ) {
    this.slots = start.entries + 1;
    this.states = start.tables.first.length;
    const { first, slots } = start.tables;
    if (learned) {
      [this.counts, this.often, this.bounds] =
        [learned.counts, learned.often, learned.bounds].map((each) => kernel.put(each));
      [this.seen, this.fresh] = [learned.seen, learned.fresh];
    } else {
      [this.counts, this.often, this.bounds] = this.sizes().map((size) => kernel.allocate(size));
      const mark = kernel.mark();
      kernel.run.startCounts(kernel.put(start.weights), this.states * this.slots, this.counts);
      kernel.release(mark);
      kernel.bytes(this.often, 8 * this.slots).fill(0);
    }
    const row = 4 * (this.slots + 1);
    this.renewed = {
      first, slots, address: Uint32Array.from(first, (_, state) => this.bounds + state * row),
    };
  }

  /** Bytes of counts, of how often each symbol was seen, and of cumulative counts. */
  private sizes(): [counts: number, often: number, bounds: number] {
    const { states, slots } = this;
    return [8 * states * slots, 8 * slots, 4 * states * (slots + 1)];
  }

  /** Return the tables of the next symbols. */
  tables(): Tables {
    if (this.fresh >= Math.max(RENEW, this.seen >> RENEW_SHIFT)) {
      this.seen += this.fresh;
      this.fresh = 0;
      const most = Math.min(SHARED * this.start.entries, MOST_SHARED);
      const shared = Math.min(this.seen * SHARED, most);
      const { counts, often, states, slots, seen, bounds } = this;
      this.kernel.run.makeTables(counts, often, states, slots, seen, shared, bounds);
    }
    return this.seen ? this.renewed : this.start.tables;
  }

  /** Count symbols, each seen in a state. */
  learn(states: Uint8Array, symbols: Int32Array): void {
    const { run } = this.kernel;
    symbols.forEach((symbol, i) =>
      run.countSymbol(this.counts, this.often, this.slots, states[i], symbol, this.own));
    this.fresh += symbols.length;
  }

  /** Return what was learned so far. */
  learned(): Learned {
    const [counts, often, bounds] = this.sizes();
    const copy = (address: number, size: number) => this.kernel.bytes(address, size).slice();
    return {
      counts: copy(this.counts, counts), often: copy(this.often, often),
      bounds: copy(this.bounds, bounds), seen: this.seen, fresh: this.fresh,
    };
  }
}
