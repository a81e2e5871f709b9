// Compile wasm/ to src/core/kernel-bytes.ts. The module has a few kilobytes, so it travels inside
// of the script: nothing has to be fetched, in a page, a worker or Node.

import { existsSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";

const target = "src/core/kernel-bytes.ts";
const changed = (file) => statSync(file).mtimeMs;
const sources = [...readdirSync("wasm").map((name) => `wasm/${name}`), "scripts/wasm.mjs"];
if (existsSync(target) && sources.every((file) => changed(file) < changed(target))) process.exit();

const { default: asc } = await import("assemblyscript/asc");
let bytes = Buffer.alloc(0);
const { error, stderr } = await asc.main(
  [
    "wasm/index.ts", "--outFile", "kernel.wasm", "--optimizeLevel", "3", "--shrinkLevel", "0",
    "--runtime", "stub", "--noAssert", "--enable", "simd", "--enable", "bulk-memory",
  ],
  { writeFile: (name, contents) => void (bytes = Buffer.from(contents)) },
);
if (error) {
  console.error(stderr.toString());
  process.exit(1);
}
const text = `// Made by scripts/wasm.mjs from wasm/.\nexport const KERNEL = "${bytes.toString("base64")}";\n`;
// Whole or not at all: several processes may build at once.
writeFileSync(`${target}.${process.pid}`, text);
renameSync(`${target}.${process.pid}`, target);
console.log(`kernel: ${bytes.length} bytes`);
