/** What several tests share. */

import { readFileSync } from "node:fs";
import { crc32 } from "../src/container/crc.js";
import { probe } from "../src/container/file.js";
import { type Model, modelOf } from "../src/models/model.js";
import { Arrays } from "../src/weights/safetensors.js";

export const root = new URL("../../", import.meta.url);

/** Return a golden file by its name, such as `vq/grey`. */
export function goldenFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`tests/golden/${name}.qtl`, root)));
}

const models = new Map<string, { model: Model; hash: string }>();

/** Return the model of a codec, from the weights that ship. */
export function modelFor(codec: string): { model: Model; hash: string } {
  let found = models.get(codec);
  if (!found) {
    const weights = readFileSync(new URL(`quantal/weights/${codec}.safetensors`, root));
    found = modelOf(new Arrays(weights));
    models.set(codec, found);
  }
  return found;
}

/** Return a file with other bytes in its image part, and checksums that fit. */
export function withPayload(data: Uint8Array, change: (payload: Uint8Array) => void): Uint8Array {
  const found = new Uint8Array(data);
  const { headerBytes, parts } = probe(found);
  const [{ offset, bytes }] = parts;
  change(found.subarray(offset, offset + bytes));
  const sum = crc32(found.subarray(offset, offset + bytes), crc32(found.subarray(0, headerBytes)));
  new DataView(found.buffer).setUint32(offset + bytes, sum, true);
  return found;
}

/** A small generator of numbers below 2^32, the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

type Values = Int32Array | BigInt64Array | Uint8Array;
const TYPES = { Int32Array: "I32", BigInt64Array: "I64", Uint8Array: "U8" } as const;

/** Return arrays as a weights file. */
export function weightsFile(
  arrays: Record<string, [shape: number[], values: Values]>, metadata: Record<string, string> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const parts: Uint8Array[] = [];
  let place = 0;
  for (const [name, [shape, values]] of Object.entries(arrays)) {
    const dtype = TYPES[values.constructor.name as keyof typeof TYPES];
    header[name] = { dtype, shape, data_offsets: [place, place + values.byteLength] };
    parts.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    place += values.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const found = new Uint8Array(8 + text.length + place);
  new DataView(found.buffer).setBigUint64(0, BigInt(text.length), true);
  found.set(text, 8);
  let end = 8 + text.length;
  for (const part of parts) {
    found.set(part, end);
    end += part.length;
  }
  return found;
}
