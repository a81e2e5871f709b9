/** A decoder that runs where it is called: in a worker, or in a page. */

import { CoreDecoder, type DecoderOptions } from "../decoder.js";
import { type FetchModel, fromFolder } from "../models/store.js";
import type { OnnxRuntime } from "../networks/onnx.js";
import { unpacked } from "../streams.js";

/** More threads than this gain little on pictures of usual sizes. */
const MOST_THREADS = 4;

/**
 * Load ONNX Runtime from a folder of a web host.
 *
 * Its module is packed: many hosts send WebAssembly as it is, which is four times as much.
 */
async function loadRuntime(folder: URL): Promise<OnnxRuntime> {
  const fetched: FetchModel = fromFolder(folder);
  const [runtime, packed] = await Promise.all([
    import("onnxruntime-web/wasm"),
    fetched("ort-wasm-simd-threaded.packed"),
  ]);
  const { wasm } = runtime.env;
  wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.mjs", folder).href };
  wasm.wasmBinary = await unpacked(packed);
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
