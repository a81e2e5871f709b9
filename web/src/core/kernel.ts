/** The WebAssembly module of the decoder, and its memory. */

import { OutOfMemoryError } from "../errors.js";
import { KERNEL } from "./kernel-bytes.js";

interface Exports extends WebAssembly.Exports {
  memory: WebAssembly.Memory;
  heapBase(): number;
  take(decoder: number, bounds: number, slots: number, count: number, out: number): void;
  takeUniform(decoder: number, values: number, count: number, out: number): void;
  startCounts(weights: number, total: number, counts: number): void;
  countSymbol(
    counts: number, often: number, slots: number, state: number, symbol: number, own: number,
  ): void;
  makeTables(
    counts: number, often: number, states: number, slots: number, seen: number, shared: number,
    bounds: number,
  ): void;
  largest(values: number, count: number): number;
  narrow(values: number, positions: number, channels: number, stride: number, out: number): void;
  denseNarrow(...args: DenseArguments): void;
  denseWide(...args: DenseArguments): void;
  depthwiseNarrow(...args: DepthwiseArguments): void;
  depthwiseWide(...args: DepthwiseArguments): void;
  shuffle(
    x: number, channels: number, height: number, width: number, factor: number, out: number,
  ): void;
}

type DenseArguments = [
  x: number, weight: number, bias: number, inputs: number, outputs: number, positions: number,
  shift: number, low: number, high: number, out: number,
];
type DepthwiseArguments = [
  x: number, weight: number, bias: number, channels: number, height: number, width: number,
  kernel: number, shift: number, low: number, high: number, out: number,
];

const PAGE = 65536;
const ALIGNMENT = 16;

let compiled: WebAssembly.Module | undefined;

function module(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0)));
  return compiled;
}

/** An array of numbers that can be copied to the kernel's memory. */
export type NumberArray =
  | Int8Array | Uint8Array | Int16Array | Int32Array | Uint32Array | BigInt64Array | Float32Array;

/**
 * An instance of the module with memory of its own.
 *
 * Memory is a stack: what was allocated since a mark is released together. A view is valid until
 * the next allocation, which may move the memory.
 */
export class Kernel {
  readonly run: Exports;
  private top: number;

  constructor() {
    this.run = new WebAssembly.Instance(module()).exports as Exports;
    this.top = this.run.heapBase();
  }

  /** Return the address of so many bytes, which hold whatever was there before. */
  allocate(bytes: number): number {
    const start = Math.ceil(this.top / ALIGNMENT) * ALIGNMENT;
    const lack = start + bytes - this.run.memory.buffer.byteLength;
    if (lack > 0) this.grow(Math.ceil(lack / PAGE), bytes);
    this.top = start + bytes;
    return start;
  }

  private grow(pages: number, bytes: number): void {
    try {
      this.run.memory.grow(pages);
    } catch {
      throw new OutOfMemoryError(
        `the decoder needs ${bytes} more bytes of memory, and the browser has no more for it; `
        + "close other pages, or decode this file with the Python package",
        "memory",
      );
    }
  }

  /** Return what release() takes to free everything allocated from now on. */
  mark(): number {
    return this.top;
  }

  release(mark: number): void {
    this.top = mark;
  }

  /** Copy an array to new memory, and return its address. */
  put(values: NumberArray): number {
    const address = this.allocate(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.bytes(address, bytes.length).set(bytes);
    return address;
  }

  bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.run.memory.buffer, address, count);
  }

  int32(address: number, count: number): Int32Array {
    return new Int32Array(this.run.memory.buffer, address, count);
  }

  uint32(address: number, count: number): Uint32Array {
    return new Uint32Array(this.run.memory.buffer, address, count);
  }
}
