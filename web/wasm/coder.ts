// The arithmetic decoder: an asymmetric numeral system with a state of 64 bits, words of 32 bits
// and probabilities of 24 bits. docs/reference/codecs/hyperprior.md specifies it.
//
// A decoder is 16 bytes of memory: its state (u64), the address of its words (u32), and how many
// of them are left (u32). Words are taken from the end.

const PRECISION: u64 = 24;
const TOTAL: u32 = 1 << 24;

// Take `count` symbols of one table.
//
// bounds: the cumulative counts of the table, i32 [slots + 1].
// out: the slots, i32 [count].
export function take(decoder: usize, bounds: usize, slots: u32, count: u32, out: usize): void {
  let state = load<u64>(decoder);
  const words = <usize>load<u32>(decoder, 8);
  let left = load<u32>(decoder, 12);
  for (let i: u32 = 0; i < count; i++) {
    const quantile = <u32>state & (TOTAL - 1);
    let low: u32 = 0;
    let high = slots;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (load<u32>(bounds + (<usize>middle << 2)) <= quantile) low = middle;
      else high = middle;
    }
    const start = load<u32>(bounds + (<usize>low << 2));
    const weight = load<u32>(bounds + (<usize>low << 2), 4) - start;
    state = <u64>weight * (state >> PRECISION) + <u64>(quantile - start);
    if (state >> 32 == 0 && left > 0) {
      left--;
      state = (state << 32) | <u64>load<u32>(words + (<usize>left << 2));
    }
    store<u32>(out + (<usize>i << 2), low);
  }
  store<u64>(decoder, state);
  store<u32>(decoder, left, 12);
}

// Take `count` values below `values`, all equally likely; the last has what division leaves.
export function takeUniform(decoder: usize, values: u32, count: u32, out: usize): void {
  let state = load<u64>(decoder);
  const words = <usize>load<u32>(decoder, 8);
  let left = load<u32>(decoder, 12);
  const share = TOTAL / values;
  const last = values - 1;
  for (let i: u32 = 0; i < count; i++) {
    const quantile = <u32>state & (TOTAL - 1);
    let value = quantile / share;
    let weight = share;
    if (value >= last) {
      value = last;
      weight = TOTAL - last * share;
    }
    state = <u64>weight * (state >> PRECISION) + <u64>(quantile - value * share);
    if (state >> 32 == 0 && left > 0) {
      left--;
      state = (state << 32) | <u64>load<u32>(words + (<usize>left << 2));
    }
    store<u32>(out + (<usize>i << 2), value);
  }
  store<u64>(decoder, state);
  store<u32>(decoder, left, 12);
}
