// Adaptive tables of codebook indices, from counts of 64 bits.
// docs/reference/codecs/vq.md specifies them.

const TOTAL: u64 = 1 << 24;
const MOST: u64 = 1 << 38;

// Set the counts of a map to the weights of its tables.
export function startCounts(weights: usize, total: u32, counts: usize): void {
  for (let i: usize = 0; i < <usize>total; i++) {
    store<u64>(counts + (i << 3), <u64>load<u32>(weights + (i << 2)));
  }
}

// Count a symbol in its own state and among all.
export function countSymbol(counts: usize, often: usize, slots: u32, state: u32, symbol: u32, own: u32): void {
  const cell = counts + (<usize>(state * slots + symbol) << 3);
  store<u64>(cell, load<u64>(cell) + <u64>own);
  const all = often + (<usize>symbol << 3);
  store<u64>(all, load<u64>(all) + 1);
}

// Make the cumulative counts of all states anew.
//
// counts: u64 [states, slots]; halved where a state has too many.
// often: u64 [slots], how often each symbol was seen, `seen` in all.
// shared: what all symbols together count in every state.
// bounds: the result, i32 [states, slots + 1].
export function makeTables(
  counts: usize, often: usize, states: u32, slots: u32, seen: u32, shared: u32, bounds: usize,
): void {
  const free = TOTAL - <u64>slots;
  for (let state: u32 = 0; state < states; state++) {
    const row = counts + (<usize>(state * slots) << 3);
    const result = bounds + (<usize>(state * (slots + 1)) << 2);
    while (sumOf(row, slots) > MOST) {
      for (let k: u32 = 0; k < slots; k++) {
        const cell = row + (<usize>k << 3);
        store<u64>(cell, load<u64>(cell) >> 1);
      }
    }
    let sum: u64 = 0;
    for (let k: u32 = 0; k < slots; k++) sum += countOf(row, often, k, seen, shared);
    let rest = TOTAL;
    let most: u64 = 0;
    let likeliest: u32 = 0;
    for (let k: u32 = 0; k < slots; k++) {
      const weight = countOf(row, often, k, seen, shared) * free / sum + 1;
      if (weight > most) {
        most = weight;
        likeliest = k;
      }
      rest -= weight;
      store<u32>(result + (<usize>k << 2), <u32>weight, 4);
    }
    const cell = result + (<usize>likeliest << 2);
    store<u32>(cell, <u32>(most + rest), 4);
    let total: u32 = 0;
    store<u32>(result, 0);
    for (let k: u32 = 0; k < slots; k++) {
      const place = result + (<usize>k << 2);
      total += load<u32>(place, 4);
      store<u32>(place, total, 4);
    }
  }
}

function countOf(row: usize, often: usize, k: u32, seen: u32, shared: u32): u64 {
  const place = <usize>k << 3;
  return load<u64>(row + place) + load<u64>(often + place) * <u64>shared / <u64>seen;
}

function sumOf(row: usize, slots: u32): u64 {
  let sum: u64 = 0;
  for (let k: u32 = 0; k < slots; k++) sum += load<u64>(row + (<usize>k << 3));
  return sum;
}
