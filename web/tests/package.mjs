// Decode a file with the built package, as programs do: node tests/package.mjs MODELS FILE OUT
//
// OUT gets the picture as PNG. tests/web/test_node.py runs it.

import { readFileSync, writeFileSync } from "node:fs";
import * as runtime from "onnxruntime-web";
import { CoreDecoder, writePng } from "quantal";

const [models, file, out] = process.argv.slice(2);
const decoder = new CoreDecoder({
  models: async (name) => new Uint8Array(readFileSync(`${models}/${name}`)),
  runtime: async () => ({ runtime, gpu: false }),
});
const picture = await decoder.decode(new Uint8Array(readFileSync(file)));
writeFileSync(out, await writePng(picture));
