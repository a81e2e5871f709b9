/** The outside weights of an ONNX graph: which it needs, and where it expects them. */

import { ModelError } from "../errors.js";

/** A weight that a graph takes from outside. */
export interface ExternalWeight {
  name: string;
  /** The name of the file that it expects it in, and where. */
  location: string;
  offset: number;
  length: number;
}

/** Numbers of fields in ONNX's messages, as onnx.proto gives them. */
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_NAME = 8;
const TENSOR_EXTERNAL_DATA = 13;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;
const BYTES = 2;

/** Yield the fields of a protocol buffer that hold bytes, by their number. */
function* fields(data: Uint8Array): Generator<[number: number, content: Uint8Array]> {
  let place = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (place >= data.length || shift > 63) throw new ModelError("a graph is damaged; fetch it again");
      const byte = data[place++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (place < data.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === BYTES) {
      const length = varint();
      if (place + length > data.length) throw new ModelError("a graph was cut; fetch it again");
      yield [Math.floor(tag / 8), data.subarray(place, place + length)];
      place += length;
    } else if (kind === 0) varint();
    else place += kind === 1 ? 8 : 4;
  }
}

function first(data: Uint8Array, wanted: number): Uint8Array {
  for (const [number, content] of fields(data)) if (number === wanted) return content;
  return new Uint8Array();
}

/** Return the weights that a graph takes from outside. */
export function externalWeights(graph: Uint8Array): ExternalWeight[] {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const found: ExternalWeight[] = [];
  for (const [number, tensor] of fields(first(graph, MODEL_GRAPH))) {
    if (number !== GRAPH_INITIALIZER) continue;
    const about = new Map<string, string>();
    let name = "";
    for (const [field, content] of fields(tensor)) {
      if (field === TENSOR_NAME) name = text(content);
      if (field === TENSOR_EXTERNAL_DATA) {
        about.set(text(first(content, ENTRY_KEY)), text(first(content, ENTRY_VALUE)));
      }
    }
    const location = about.get("location");
    if (location === undefined) continue;
    const [offset, length] = ["offset", "length"].map((key) => Number(about.get(key) ?? 0));
    found.push({ name, location, offset, length });
  }
  return found;
}
