// Integer layers: convolution, shift, clamp. docs/reference/codecs/hyperprior.md specifies them.
//
// Planes are i32 [positions, channels]: the channels of a position lie together. "Narrow" layers
// need every sum to fit 32 bits, which the caller has proven; "wide" ones compute in 64 bits.

// Return the largest magnitude among `count` values.
export function largest(values: usize, count: u32): u32 {
  let most: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const value = load<i32>(values + (<usize>i << 2));
    const size = <u32>(value < 0 ? 0 - value : value);
    if (size > most) most = size;
  }
  return most;
}

// Copy i32 [positions, channels] to i16 [positions, stride]; what lies between is zero.
export function narrow(values: usize, positions: u32, channels: u32, stride: u32, out: usize): void {
  for (let p: u32 = 0; p < positions; p++) {
    for (let c: u32 = 0; c < channels; c++) {
      store<i16>(out + (<usize>c << 1), load<i16>(values + (<usize>c << 2)));
    }
    for (let c = channels; c < stride; c++) store<i16>(out + (<usize>c << 1), 0);
    values += <usize>channels << 2;
    out += <usize>stride << 1;
  }
}

function clamped(sum: i32, low: i32, high: i32): i32 {
  return min(max(sum, low), high);
}

function added(sums: v128): i32 {
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1)
    + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}

// A matrix product of 16 bit integers with sums of 32 bits: out [positions, outputs].
//
// x: i16 [positions, stride]; weight: i16 [outputs, stride]; stride is a multiple of 8.
// bias: i32 [outputs], with the half that rounding adds.
export function denseNarrow(
  x: usize, weight: usize, bias: usize, stride: u32, outputs: u32, positions: u32,
  shift: i32, low: i32, high: i32, out: usize,
): void {
  const bytes = <usize>stride << 1;
  for (let p: u32 = 0; p < positions; p += 4) {
    // Positions beyond the last repeat it, so that there is one loop.
    const left = positions - p;
    const x0 = x + <usize>p * bytes;
    const x1 = x0 + (left > 1 ? bytes : 0);
    const x2 = x1 + (left > 2 ? bytes : 0);
    const x3 = x2 + (left > 3 ? bytes : 0);
    for (let o: u32 = 0; o < outputs; o++) {
      const row = weight + <usize>o * bytes;
      let s0 = i32x4.splat(0);
      let s1 = i32x4.splat(0);
      let s2 = i32x4.splat(0);
      let s3 = i32x4.splat(0);
      for (let i: usize = 0; i < bytes; i += 16) {
        const w = v128.load(row + i);
        s0 = i32x4.add(s0, i32x4.dot_i16x8_s(w, v128.load(x0 + i)));
        s1 = i32x4.add(s1, i32x4.dot_i16x8_s(w, v128.load(x1 + i)));
        s2 = i32x4.add(s2, i32x4.dot_i16x8_s(w, v128.load(x2 + i)));
        s3 = i32x4.add(s3, i32x4.dot_i16x8_s(w, v128.load(x3 + i)));
      }
      const more = load<i32>(bias + (<usize>o << 2));
      const place = out + (<usize>(p * outputs + o) << 2);
      const step = <usize>outputs << 2;
      store<i32>(place, clamped((added(s0) + more) >> shift, low, high));
      if (left > 1) store<i32>(place + step, clamped((added(s1) + more) >> shift, low, high));
      if (left > 2) store<i32>(place + 2 * step, clamped((added(s2) + more) >> shift, low, high));
      if (left > 3) store<i32>(place + 3 * step, clamped((added(s3) + more) >> shift, low, high));
    }
  }
}

// The same with sums of 64 bits: x i32 [positions, inputs], weight i32 [outputs, inputs],
// bias i64 [outputs].
export function denseWide(
  x: usize, weight: usize, bias: usize, inputs: u32, outputs: u32, positions: u32,
  shift: i32, low: i32, high: i32, out: usize,
): void {
  for (let p: u32 = 0; p < positions; p++) {
    const plane = x + (<usize>(p * inputs) << 2);
    for (let o: u32 = 0; o < outputs; o++) {
      const row = weight + (<usize>(o * inputs) << 2);
      let sum = load<i64>(bias + (<usize>o << 3));
      for (let i: u32 = 0; i < inputs; i++) {
        const place = <usize>i << 2;
        sum += <i64>load<i32>(row + place) * <i64>load<i32>(plane + place);
      }
      sum = min(max(sum >> <i64>shift, <i64>low), <i64>high);
      store<i32>(out, <i32>sum);
      out += 4;
    }
  }
}

// A depthwise convolution with sums of 32 bits, padded with zeros: out [height * width, channels].
//
// weight: i32 [kernel * kernel, channels]; bias: i32 [channels], with the half that rounding adds.
export function depthwiseNarrow(
  x: usize, weight: usize, bias: usize, channels: u32, height: i32, width: i32, kernel: i32,
  shift: i32, low: i32, high: i32, out: usize,
): void {
  const reach = kernel >> 1;
  const step = <usize>channels << 2;
  const whole = channels & ~3;
  const lows = i32x4.splat(low);
  const highs = i32x4.splat(high);
  for (let row = 0; row < height; row++) {
    const top = max(reach - row, 0);
    const bottom = min(kernel, height + reach - row);
    for (let column = 0; column < width; column++) {
      const left = max(reach - column, 0);
      const right = min(kernel, width + reach - column);
      for (let c: u32 = 0; c < channels; c += c < whole ? 4 : 1) {
        const channel = <usize>c << 2;
        const several = c < whole;
        let sums = several ? v128.load(bias + channel) : v128.load32_zero(bias + channel);
        for (let down = top; down < bottom; down++) {
          for (let across = left; across < right; across++) {
            const place = (row + down - reach) * width + column + across - reach;
            const source = x + <usize>place * step + channel;
            const factor = weight + <usize>(down * kernel + across) * step + channel;
            sums = several
              ? i32x4.add(sums, i32x4.mul(v128.load(source), v128.load(factor)))
              : i32x4.add(sums, i32x4.mul(v128.load32_zero(source), v128.load32_zero(factor)));
          }
        }
        sums = i32x4.min_s(i32x4.max_s(i32x4.shr_s(sums, shift), lows), highs);
        const target = out + <usize>(row * width + column) * step + channel;
        if (several) v128.store(target, sums);
        else store<i32>(target, i32x4.extract_lane(sums, 0));
      }
    }
  }
}

// The same with sums of 64 bits; bias: i64 [channels].
export function depthwiseWide(
  x: usize, weight: usize, bias: usize, channels: u32, height: i32, width: i32, kernel: i32,
  shift: i32, low: i32, high: i32, out: usize,
): void {
  const reach = kernel >> 1;
  const step = <usize>channels << 2;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let c: u32 = 0; c < channels; c++) {
        let sum = load<i64>(bias + (<usize>c << 3));
        for (let down = 0; down < kernel; down++) {
          const r = row + down - reach;
          if (r < 0 || r >= height) continue;
          for (let across = 0; across < kernel; across++) {
            const k = column + across - reach;
            if (k < 0 || k >= width) continue;
            const source = x + <usize>(r * width + k) * step + (<usize>c << 2);
            const factor = weight + <usize>(down * kernel + across) * step + (<usize>c << 2);
            sum += <i64>load<i32>(source) * <i64>load<i32>(factor);
          }
        }
        sum = min(max(sum >> <i64>shift, <i64>low), <i64>high);
        store<i32>(out, <i32>sum);
        out += 4;
      }
    }
  }
}

// Pixel-shuffle [height, width, channels * factor^2] to [height * factor, width * factor, channels].
export function shuffle(x: usize, channels: u32, height: u32, width: u32, factor: u32, out: usize): void {
  const places = factor * factor;
  for (let row: u32 = 0; row < height; row++) {
    for (let column: u32 = 0; column < width; column++) {
      for (let place: u32 = 0; place < places; place++) {
        const down = row * factor + place / factor;
        const across = column * factor + place % factor;
        const target = out + (<usize>((down * width * factor + across) * channels) << 2);
        for (let c: u32 = 0; c < channels; c++) {
          store<i32>(target + (<usize>c << 2), load<i32>(x + (<usize>(c * places + place) << 2)));
        }
      }
      x += <usize>(channels * places) << 2;
    }
  }
}
