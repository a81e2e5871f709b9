// Write the weights that a decoder needs, with the graphs of their networks, one file per codec.
//
//     node scripts/models.mjs FOLDER [CODEC...]
//
// Encoders' tensors and networks are left out. FOLDER/index.json says which codecs there are.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";

const { Arrays } = (await runnerImport("src/weights/safetensors.ts")).module;

const WEIGHTS = "../quantal/weights";
const GRAPHS = process.env.QUANTAL_GRAPHS ?? "../quantal/graphs";
/** Networks that encoders alone run. */
const ENCODING = /^(analysis(\..*)?|codes\..*|coefficients|z)$/;
/** Arrays that are read beside the graphs. */
const BESIDE = /^net\.(rungs\.\d+\.books\.\d+\.codebook|coefficient|level|amplitude|unit)$/;
/** What of the metadata a decoder looks at. */
const KEPT = ["format", "hash", "model"];

function packed(codec) {
  const arrays = new Arrays(readFileSync(join(WEIGHTS, `${codec}.safetensors`)));
  const folder = join(GRAPHS, codec);
  const all = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")).networks;
  const graphs = Object.fromEntries(Object.entries(all).filter(([name]) => !ENCODING.test(name)));
  const used = new Set(Object.values(graphs).flatMap((graph) => graph.weights));
  const kept = arrays.names.filter(
    (name) => !name.startsWith("net.") || used.has(name) || BESIDE.test(name));
  const entries = kept.map((name) => [name, arrays.dtype(name), arrays.shape(name), arrays.bytes(name)]);
  for (const name of Object.keys(graphs)) {
    const graph = readFileSync(join(folder, `${name}.onnx`));
    entries.push([`graph.${name}`, "U8", [graph.length], graph]);
  }
  const about = Object.fromEntries(
    Object.entries(graphs).map(([name, { inputs, reach }]) => [name, { inputs, reach }]));
  const metadata = Object.fromEntries(KEPT.map((key) => [key, arrays.metadata[key]]));
  return safetensors(entries, { ...metadata, graphs: JSON.stringify(about) });
}

/** Return arrays as a safetensors file. */
function safetensors(entries, metadata) {
  const header = { __metadata__: metadata };
  let place = 0;
  for (const [name, dtype, shape, data] of entries) {
    header[name] = { dtype, shape, data_offsets: [place, place + data.length] };
    place += data.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  // Padded, so that arrays begin at multiples of 8.
  const start = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, " ");
  start.writeBigUInt64LE(BigInt(start.length - 8));
  text.copy(start, 8);
  return Buffer.concat([start, ...entries.map((entry) => entry[3])]);
}

const [out, ...named] = process.argv.slice(2);
const codecs = named.length ? named : readdirSync(GRAPHS).filter(
  (name) => existsSync(join(GRAPHS, name, "index.json"))
    && existsSync(join(WEIGHTS, `${name}.safetensors`)));
mkdirSync(out, { recursive: true });
const index = {};
for (const codec of codecs) {
  const data = packed(codec);
  const file = `${codec}.safetensors`;
  writeFileSync(join(out, file), data);
  index[codec] = { file, bytes: data.length, hash: new Arrays(data).metadata.hash };
  console.log(`${file}: ${data.length} bytes`);
}
writeFileSync(join(out, "index.json"), JSON.stringify(index, null, 1) + "\n");
