/**
 * Integer networks: equal on every machine, so they may decide how bits are read.
 *
 * Sums are computed in 32 bits where the largest inputs of the moment prove that they fit, else in
 * 64, where they always do: that is proven when a network is built.
 */

import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import type { Kernel } from "./kernel.js";

/** Rate indices; a bias has a row for each, or one for all. */
export const RATE_INDICES = 64;
/** Bounds of sums: what 32 bits hold, and what weights files promise. */
const NARROW = 2 ** 31 - 1;
const PROVEN = 2 ** 53;
const INT16 = 2 ** 15 - 1;
/** Channels of 16 bits are padded to whole registers. */
const LANES = 8;

/** A plane of whole numbers in the kernel's memory: i32 [height, width, channels]. */
export interface Plane {
  address: number;
  height: number;
  width: number;
  channels: number;
}

/** One integer convolution, a shift by a number of bits, a clamp, and perhaps a pixel shuffle. */
class ExactLayer {
  readonly outputs: number;
  readonly inputs: number;
  private readonly rows: number;
  private readonly kernelSize: number;
  private readonly shift: number;
  private readonly low: number;
  private readonly high: number;
  private readonly depthwise: boolean;
  private readonly factor: number;
  /** Sums of magnitudes of each output's weights, and its largest bias. */
  private readonly sums: Float64Array;
  private readonly weight: Int32Array;
  private readonly bias: Float64Array;
  private readonly narrowWeight: number;
  private readonly wideWeight: number;

  constructor(private readonly kernel: Kernel, arrays: Arrays, name: string) {
    const weight = arrays.integers(`${name}.weight`, 4);
    const bias = arrays.integers(`${name}.bias`, 2);
    const fields = arrays.integers(`${name}.fields`, 1);
    const [outputs, inputs, height, width] = weight.shape;
    const [shift, low, high, groups, factor] = fields.values;
    this.rows = outputs;
    this.kernelSize = height;
    this.depthwise = groups > 1;
    this.inputs = inputs * groups;
    [this.shift, this.low, this.high, this.factor] = [shift, low, high, factor];
    this.outputs = outputs / factor ** 2;
    const fits = fields.values.length === 5 && height === width && height % 2 === 1
      && groups >= 1 && (groups === 1 || (groups === outputs && inputs === 1))
      && factor >= 1 && Number.isInteger(this.outputs) && bias.shape[1] === outputs
      && (bias.shape[0] === 1 || bias.shape[0] === RATE_INDICES)
      && low <= 0 && high >= 0 && shift >= 0 && shift < 48 && height <= 15
      && weight.values.every((value) => value === (value | 0));
    if (!fits) throw new ModelError(`the integer layer ${name} is damaged; fetch the weights again`);
    this.weight = this.arranged(weight.values);
    this.bias = bias.values;
    this.sums = this.magnitudes();
    this.wideWeight = kernel.put(this.weight);
    this.narrowWeight = this.depthwise ? this.wideWeight : kernel.put(this.padded());
  }

  get largestOutput(): number {
    return Math.max(-this.low, this.high);
  }

  /** Inputs of the matrix product: every tap of every channel. */
  private get columns(): number {
    return this.inputs * this.kernelSize ** 2;
  }

  private get stride(): number {
    return Math.ceil(this.columns / LANES) * LANES;
  }

  /** Return weights as the kernel takes them: [outputs, taps, inputs], or [taps, channels]. */
  private arranged(values: Float64Array): Int32Array {
    const taps = this.kernelSize ** 2;
    const inputs = this.depthwise ? 1 : this.inputs;
    const found = new Int32Array(values);
    if (taps === 1) return found;
    for (let o = 0; o < this.rows; o++) {
      for (let i = 0; i < inputs; i++) {
        for (let tap = 0; tap < taps; tap++) {
          const place = this.depthwise ? tap * this.rows + o : (o * taps + tap) * inputs + i;
          found[place] = values[(o * inputs + i) * taps + tap];
        }
      }
    }
    return found;
  }

  private padded(): Int16Array {
    const found = new Int16Array(this.rows * this.stride);
    for (let o = 0; o < this.rows; o++) {
      const row = this.weight.subarray(o * this.columns, (o + 1) * this.columns);
      found.set(row, o * this.stride);
    }
    return found;
  }

  private magnitudes(): Float64Array {
    const found = new Float64Array(this.rows);
    const { weight, rows } = this;
    const columns = weight.length / rows;
    for (let o = 0; o < rows; o++) {
      for (let i = 0; i < columns; i++) {
        found[o] += Math.abs(weight[this.depthwise ? i * rows + o : o * columns + i]);
      }
    }
    return found;
  }

  /** Return the largest magnitude that a partial sum can take for inputs up to `largest`. */
  bound(largest: number): number {
    let most = 0;
    this.bias.forEach((bias, place) => {
      most = Math.max(most, this.sums[place % this.rows] * largest + Math.abs(bias));
    });
    return most + 2 ** this.shift;
  }

  private fitsNarrow(largest: number): boolean {
    if (this.bound(largest) > NARROW || this.shift > 31) return false;
    return this.depthwise || (largest <= INT16 && this.weight.every((w) => Math.abs(w) <= INT16));
  }

  private biasAddress(rateIndex: number, narrow: boolean): number {
    const rows = this.bias.length / this.rows;
    const start = Math.min(rateIndex, rows - 1) * this.rows;
    const half = Math.floor(2 ** (this.shift - 1));
    const values = this.bias.subarray(start, start + this.rows).map((value) => value + half);
    return this.kernel.put(
      narrow ? Int32Array.from(values) : BigInt64Array.from([...values].map(BigInt)),
    );
  }

  /** Apply the layer; what it allocates is the caller's to release. */
  apply(x: Plane, rateIndex: number): Plane {
    const { run } = this.kernel;
    const { height, width } = x;
    const positions = height * width;
    const narrow = this.fitsNarrow(run.largest(x.address, positions * x.channels) >>> 0);
    const bias = this.biasAddress(rateIndex, narrow);
    const address = this.kernel.allocate(4 * positions * this.rows);
    const mark = this.kernel.mark();
    const end = [this.shift, this.low, this.high, address] as const;
    if (this.depthwise) {
      const call = narrow ? run.depthwiseNarrow : run.depthwiseWide;
      call(x.address, this.wideWeight, bias, this.rows, height, width, this.kernelSize, ...end);
    } else {
      const taps = this.kernelSize > 1 ? this.unfolded(x) : x.address;
      if (narrow) {
        const packed = this.kernel.allocate(2 * positions * this.stride);
        run.narrow(taps, positions, this.columns, this.stride, packed);
        run.denseNarrow(
          packed, this.narrowWeight, bias, this.stride, this.rows, positions, ...end,
        );
      } else {
        run.denseWide(taps, this.wideWeight, bias, this.columns, this.rows, positions, ...end);
      }
    }
    this.kernel.release(mark);
    const made = { address, height, width, channels: this.rows };
    return this.factor > 1 ? this.shuffled(made) : made;
  }

  /** Return every tap of a kernel beside one another, zeros beyond the border. */
  private unfolded(x: Plane): number {
    const { height, width, channels } = x;
    const reach = this.kernelSize >> 1;
    const address = this.kernel.allocate(4 * height * width * this.columns);
    const source = this.kernel.int32(x.address, height * width * channels);
    const target = this.kernel.int32(address, height * width * this.columns).fill(0);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        for (let tap = 0; tap < this.kernelSize ** 2; tap++) {
          const r = row + Math.floor(tap / this.kernelSize) - reach;
          const c = column + (tap % this.kernelSize) - reach;
          if (r < 0 || r >= height || c < 0 || c >= width) continue;
          const place = (row * width + column) * this.columns + tap * channels;
          const from = (r * width + c) * channels;
          target.set(source.subarray(from, from + channels), place);
        }
      }
    }
    return address;
  }

  private shuffled(x: Plane): Plane {
    const { height, width } = x;
    const address = this.kernel.allocate(4 * height * width * x.channels);
    this.kernel.run.shuffle(x.address, this.outputs, height, width, this.factor, address);
    return {
      address, height: height * this.factor, width: width * this.factor, channels: this.outputs,
    };
  }
}

/** A chain of integer layers, proven exact when it is built. */
export class ExactNet {
  private readonly layers: ExactLayer[] = [];

  /**
   * @param kernel where weights are copied to.
   * @param arrays of a weights file.
   * @param prefix of the names of its arrays.
   * @param largestInput the largest magnitude of an input; callers must keep to it.
   */
  constructor(kernel: Kernel, arrays: Arrays, prefix: string, readonly largestInput: number) {
    while (arrays.has(`${prefix}.${this.layers.length}.weight`)) {
      this.layers.push(new ExactLayer(kernel, arrays, `${prefix}.${this.layers.length}`));
    }
    let largest = largestInput;
    let inputs = this.layers[0]?.inputs;
    if (inputs === undefined) {
      throw new ModelError(`the integer network ${prefix} has no layers; fetch the weights again`);
    }
    for (const layer of this.layers) {
      if (layer.inputs !== inputs || !(layer.bound(largest) < PROVEN)) {
        throw new ModelError(`the integer network ${prefix} is damaged; fetch the weights again`);
      }
      [largest, inputs] = [layer.largestOutput, layer.outputs];
    }
  }

  get inputs(): number {
    return this.layers[0].inputs;
  }

  get outputs(): number {
    return this.layers[this.layers.length - 1].outputs;
  }

  get largestOutput(): number {
    return this.layers[this.layers.length - 1].largestOutput;
  }

  /** Map a plane to a plane; what is allocated is the caller's to release. */
  apply(x: Plane, rateIndex: number): Plane {
    return this.layers.reduce((plane, layer) => layer.apply(plane, rateIndex), x);
  }
}
