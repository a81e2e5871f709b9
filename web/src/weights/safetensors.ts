/**
 * Weights files: named arrays as safetensors, read without trusting a number in them.
 *
 * Packed files (quantal/codecs/packed.py) have bytes in planes: of an array the first bytes of all
 * elements stand first, then the second ones.
 */

import { ModelError } from "../errors.js";

/** Bytes of an element, by the name of its type in the file. */
const SIZES: Readonly<Record<string, number>> = { F16: 2, F32: 4, I64: 8, I32: 4, I16: 2, U8: 1 };
/** What Python calls them, for hashes. */
const NAMES: Readonly<Record<string, string>> = {
  F16: "float16", F32: "float32", I64: "int64", I32: "int32", I16: "int16", U8: "uint8",
};
const LONGEST_HEADER = 1 << 24;

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Whole numbers with their shape. */
export interface Integers {
  shape: number[];
  values: Float64Array;
}

/** The arrays of a weights file. */
export class Arrays {
  readonly metadata: Readonly<Record<string, string>>;
  private readonly entries: ReadonlyMap<string, Entry>;
  private readonly body: Uint8Array;

  /** @param data the bytes of the file. */
  constructor(data: Uint8Array) {
    const { header, body } = split(data);
    const entries = new Map<string, Entry>();
    let metadata: Record<string, string> = {};
    for (const [name, value] of Object.entries(header)) {
      if (name === "__metadata__") metadata = value as Record<string, string>;
      else entries.set(name, checked(name, value, body.length));
    }
    [this.metadata, this.entries, this.body] = [metadata, entries, body];
  }

  /** Names of all arrays, in rising order of their characters' codes. */
  get names(): string[] {
    return [...this.entries.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  shape(name: string): number[] {
    return this.entry(name).shape;
  }

  dtype(name: string): string {
    return this.entry(name).dtype;
  }

  /** Return how Python describes an array: its name, type and shape. */
  description(name: string): string {
    const { dtype, shape } = this.entry(name);
    return `${name} ${NAMES[dtype]} (${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  }

  /** Return the bytes of an array, in memory of their own. */
  bytes(name: string): Uint8Array<ArrayBuffer> {
    const { data_offsets: [start, end], dtype } = this.entry(name);
    const stored = this.body.subarray(start, end);
    const size = SIZES[dtype];
    if (this.metadata.bytes !== "planes" || size === 1) return new Uint8Array(stored);
    const found = new Uint8Array(stored.length);
    const count = stored.length / size;
    for (let plane = 0; plane < size; plane++) {
      for (let i = 0; i < count; i++) found[i * size + plane] = stored[plane * count + i];
    }
    return found;
  }

  /** Return integers of any type, each exact; ModelError for others or another number of axes. */
  integers(name: string, axes: number): Integers {
    const { dtype, shape } = this.entry(name);
    const read = READERS[dtype];
    if (!read || shape.length !== axes) throw damaged(name, `integers in ${axes} axes`);
    const values = read(this.bytes(name).buffer);
    // Of 64 bits some may be larger than a number holds exactly.
    if (dtype === "I64" && !values.every(Number.isSafeInteger)) {
      throw damaged(name, "integers below 2^53");
    }
    return { shape, values };
  }

  /** Return int32 numbers; ModelError for any other type or number of axes. */
  int32(name: string, axes = 1): Int32Array {
    const { dtype, shape } = this.entry(name);
    if (dtype !== "I32" || shape.length !== axes) throw damaged(name, `int32 in ${axes} axes`);
    return new Int32Array(this.bytes(name).buffer);
  }

  /** Return uint8 numbers; ModelError for any other type or number of axes. */
  uint8(name: string, axes = 1): Uint8Array {
    const { dtype, shape } = this.entry(name);
    if (dtype !== "U8" || shape.length !== axes) throw damaged(name, `uint8 in ${axes} axes`);
    return this.bytes(name);
  }

  /** Return floating-point numbers of 16 or 32 bits as float32. */
  float32(name: string): Float32Array {
    const dtype = this.dtype(name);
    if (dtype === "F32") return new Float32Array(this.bytes(name).buffer);
    if (dtype !== "F16") throw damaged(name, "float16 or float32");
    const halves = new Uint16Array(this.bytes(name).buffer);
    const table = halfValues();
    const values = new Float32Array(halves.length);
    for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]];
    return values;
  }

  private entry(name: string): Entry {
    const found = this.entries.get(name);
    if (!found) {
      throw new ModelError(`the weights have no array ${name}; fetch them again, or update this page`);
    }
    return found;
  }
}

/** How integers are read, by the name of their type. WebAssembly's memory has this order, too. */
const READERS: Readonly<Record<string, (data: ArrayBuffer) => Float64Array>> = {
  I64: (data) => Float64Array.from(new BigInt64Array(data), Number),
  I32: (data) => new Float64Array(new Int32Array(data)),
  I16: (data) => new Float64Array(new Int16Array(data)),
  U8: (data) => new Float64Array(new Uint8Array(data)),
};

function damaged(name: string, expected: string): ModelError {
  return new ModelError(`the weights' array ${name} is not ${expected}; fetch the weights again`);
}

function split(data: Uint8Array): { header: Record<string, unknown>; body: Uint8Array } {
  const problem = "these are no weights: expected a safetensors file; fetch them again";
  if (data.length < 8) throw new ModelError(problem);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > Math.min(LONGEST_HEADER, data.length - 8)) throw new ModelError(problem);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(data.subarray(8, 8 + length)));
  } catch {
    throw new ModelError(problem);
  }
  if (typeof header !== "object" || header === null) throw new ModelError(problem);
  return { header: header as Record<string, unknown>, body: data.subarray(8 + length) };
}

function checked(name: string, value: unknown, size: number): Entry {
  const entry = value as Partial<Entry> | null;
  const whole = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  const [start, end] = entry?.data_offsets ?? [];
  if (
    !entry || typeof entry.dtype !== "string" || !(entry.dtype in SIZES)
    || !Array.isArray(entry.shape) || !entry.shape.every(whole) || !whole(start) || !whole(end)
    || start > end || end > size
    || end - start !== entry.shape.reduce((a, b) => a * b, SIZES[entry.dtype])
  ) {
    throw damaged(name, "within the file");
  }
  return entry as Entry;
}

let halfTable: Float32Array | undefined;

/** Return the values of all floats of 16 bits. */
function halfValues(): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits));
  return halfTable;
}

/** Return the value of a float of 16 bits. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
