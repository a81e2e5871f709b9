// Compile wasm/ to src/core/kernel-bytes.ts. The module has a few kilobytes, so it travels inside
// of the script: nothing has to be fetched, in a page, a worker or Node.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const binary = "wasm/kernel.wasm";
const { error, stderr } = await asc.main([
  "wasm/index.ts", "--outFile", binary, "--optimizeLevel", "3", "--shrinkLevel", "0",
  "--runtime", "stub", "--noAssert", "--enable", "simd", "--enable", "bulk-memory",
]);
if (error) {
  console.error(stderr.toString());
  process.exit(1);
}
const bytes = readFileSync(binary);
rmSync(binary);
writeFileSync(
  "src/core/kernel-bytes.ts",
  `// Made by scripts/wasm.mjs from wasm/.\nexport const KERNEL = "${bytes.toString("base64")}";\n`,
);
console.log(`kernel: ${bytes.length} bytes`);
