/** The page, and the script that defines `<qtl-img>`: a folder for any static host. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const ORT = resolve(import.meta.dirname, "node_modules/onnxruntime-web/dist");

/** ONNX Runtime's modules: the plain one, and the one with WebGPU. */
const MODULES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.jspi"];

/** Copy the modules, one of which is loaded when the first picture is drawn. */
function runtime(): Plugin {
  let folder = "";
  return {
    name: "onnx-runtime",
    configResolved({ root, build }) {
      folder = resolve(root, build.outDir, "ort");
    },
    closeBundle() {
      mkdirSync(folder, { recursive: true });
      for (const name of MODULES) {
        copyFileSync(`${ORT}/${name}.mjs`, `${folder}/${name}.mjs`);
        const packed = gzipSync(readFileSync(`${ORT}/${name}.wasm`), { level: 9 });
        writeFileSync(`${folder}/${name}.packed`, packed);
      }
    },
  };
}

export default defineConfig({
  root: "page",
  base: "./",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "import", "default"] },
  build: {
    outDir: resolve(import.meta.dirname, "dist/page"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    rollupOptions: {
      input: {
        index: resolve(import.meta.dirname, "page/index.html"),
        "qtl-img": resolve(import.meta.dirname, "page/qtl-img.ts"),
        quantal: resolve(import.meta.dirname, "page/quantal.ts"),
      },
      // Other pages name these scripts, so their names and what they export stay.
      preserveEntrySignatures: "strict",
      output: {
        entryFileNames: ({ name }) => (name === "index" ? "assets/[name]-[hash].js" : "[name].js"),
      },
    },
  },
  worker: { format: "es" },
  plugins: [runtime()],
});
