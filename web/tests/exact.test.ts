import { describe, expect, test } from "vitest";
import { ExactNet, type Plane } from "../src/core/exact.js";
import { Kernel } from "../src/core/kernel.js";
import { Arrays } from "../src/weights/safetensors.js";
import { randomNumbers, weightsFile } from "./helpers.js";

interface Layer {
  outputs: number;
  inputs: number;
  kernel: number;
  groups: number;
  shuffle: number;
  shift: number;
  high: number;
  weight: Int32Array;
  bias: BigInt64Array;
}

/** Compute a layer by whole numbers of any size, as the documentation says it. */
function reference(x: bigint[], height: number, width: number, layer: Layer): bigint[] {
  const { outputs, inputs, kernel, groups, shuffle, weight, bias } = layer;
  const half = layer.shift ? 1n << BigInt(layer.shift - 1) : 0n;
  const reach = kernel >> 1;
  const made: bigint[] = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let o = 0; o < outputs; o++) {
        let sum = bias[o] + half;
        for (let i = 0; i < inputs / groups; i++) {
          for (let tap = 0; tap < kernel ** 2; tap++) {
            const r = row + Math.floor(tap / kernel) - reach;
            const c = column + (tap % kernel) - reach;
            if (r < 0 || r >= height || c < 0 || c >= width) continue;
            const channel = groups > 1 ? o : i;
            const w = weight[(o * (inputs / groups) + i) * kernel ** 2 + tap];
            sum += BigInt(w) * x[(r * width + c) * inputs + channel];
          }
        }
        const shifted = sum >> BigInt(layer.shift);
        const high = BigInt(layer.high);
        made.push(shifted < -high ? -high : shifted > high ? high : shifted);
      }
    }
  }
  if (shuffle === 1) return made;
  const channels = outputs / shuffle ** 2;
  const found: bigint[] = new Array<bigint>(made.length);
  made.forEach((value, place) => {
    const o = place % outputs;
    const [row, column] = [Math.floor(place / outputs / width), Math.floor(place / outputs) % width];
    const [c, at] = [Math.floor(o / shuffle ** 2), o % shuffle ** 2];
    const down = row * shuffle + Math.floor(at / shuffle);
    const across = column * shuffle + (at % shuffle);
    found[(down * width * shuffle + across) * channels + c] = value;
  });
  return found;
}

function randomLayer(kind: Partial<Layer>, size: number, seed: number): Layer {
  const random = randomNumbers(seed);
  const plain = { outputs: 12, inputs: 11, kernel: 1, groups: 1, shuffle: 1, shift: 7, high: 65536 };
  const shape = { ...plain, ...kind };
  const signed = (most: number) => (random() % (2 * most + 1)) - most;
  const count = shape.outputs * (shape.inputs / shape.groups) * shape.kernel ** 2;
  return {
    ...shape,
    weight: Int32Array.from({ length: count }, () => signed(size)),
    bias: BigInt64Array.from({ length: shape.outputs }, () => BigInt(signed(1 << 20))),
  };
}

function run(layer: Layer, values: Int32Array, height: number, width: number): Int32Array {
  const { outputs, inputs, kernel, groups, shuffle, shift, high, weight, bias } = layer;
  const arrays = new Arrays(weightsFile({
    "net.0.weight": [[outputs, inputs / groups, kernel, kernel], weight],
    "net.0.bias": [[1, outputs], bias],
    "net.0.fields": [[5], Int32Array.of(shift, -high, high, groups, shuffle)],
  }));
  const memory = new Kernel();
  const net = new ExactNet(memory, arrays, "net", 1 << 20);
  const x: Plane = { address: memory.put(values), height, width, channels: inputs };
  const made = net.apply(x, 5);
  return memory.int32(made.address, made.height * made.width * made.channels).slice();
}

const KINDS: Record<string, Partial<Layer>> = {
  "a matrix product": {},
  "one without rounding": { shift: 0 },
  "a convolution": { kernel: 3 },
  "a depthwise convolution": { inputs: 10, outputs: 10, groups: 10, kernel: 3 },
  "a wide depthwise convolution": { inputs: 8, outputs: 8, groups: 8, kernel: 5 },
  "a pixel shuffle": { shuffle: 2 },
};

describe("an integer layer gives the very integers of", () => {
  for (const [name, kind] of Object.entries(KINDS)) {
    // Small sums go through 32 bits, large ones through 64.
    for (const [sums, size, largest] of [["small", 900, 3000], ["large", 40000, 900000]] as const) {
      test(`${name}, ${sums} sums`, () => {
        const layer = randomLayer(kind, size, 7);
        const random = randomNumbers(11);
        const [height, width] = [5, 7];
        const values = Int32Array.from(
          { length: height * width * layer.inputs }, () => (random() % (2 * largest)) - largest);
        const expected = reference([...values].map(BigInt), height, width, layer);
        expect([...run(layer, values, height, width)]).toEqual(expected.map(Number));
      });
    }
  }
});

describe("weights that can't be exact are refused:", () => {
  test("sums that reach 2^53", () => {
    const layer = randomLayer({ inputs: 64 }, 2 ** 30, 1);
    expect(() => run(layer, new Int32Array(64), 1, 1)).toThrow("is damaged");
  });

  test("a layer whose fields are out of range", () => {
    const layer = { ...randomLayer({}, 10, 1), shift: 60 };
    expect(() => run(layer, new Int32Array(11), 1, 1)).toThrow("is damaged");
  });
});
