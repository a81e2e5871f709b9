/** The npm package: ES modules for bundlers and for Node, without models. */

import { resolve } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  build: {
    outDir: resolve(import.meta.dirname, "dist/lib"),
    emptyOutDir: true,
    target: "es2022",
    minify: false,
    lib: {
      entry: {
        index: resolve(import.meta.dirname, "src/index.ts"),
        browser: resolve(import.meta.dirname, "src/browser/index.ts"),
      },
      formats: ["es"],
    },
    rollupOptions: { external: /^onnxruntime-web/ },
  },
  worker: { format: "es", rollupOptions: { external: /^onnxruntime-web/ } },
});
