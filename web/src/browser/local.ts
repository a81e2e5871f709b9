/** A decoder that runs where it is called: in a worker, or in a page. */

import { CoreDecoder, type DecoderOptions } from "../decoder.js";
import { fromFolder } from "../models/store.js";
import type { OnnxRuntime } from "../networks/onnx.js";

/** More threads than this gain little on pictures of usual sizes. */
const MOST_THREADS = 4;

/** Load ONNX Runtime from a folder of a web host. */
async function loadRuntime(folder: URL): Promise<OnnxRuntime> {
  const runtime = await import("onnxruntime-web/wasm");
  const { wasm } = runtime.env;
  const name = "ort-wasm-simd-threaded";
  wasm.wasmPaths = {
    mjs: new URL(`${name}.mjs`, folder).href,
    wasm: new URL(`${name}.wasm`, folder).href,
  };
  // Threads share memory, which browsers give to isolated pages alone.
  const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  wasm.numThreads = Math.max(1, Math.min(cores, MOST_THREADS));
  return runtime as OnnxRuntime;
}

/**
 * Return a decoder for a folder of a web host.
 *
 * @param base holds the folders `models` and `ort`.
 */
export function localDecoder(base: URL, options: Partial<DecoderOptions> = {}): CoreDecoder {
  let runtime: Promise<OnnxRuntime> | undefined;
  return new CoreDecoder({
    models: fromFolder(new URL("models/", base)),
    runtime: () => (runtime ??= loadRuntime(new URL("ort/", base))),
    ...options,
  });
}
