/** ONNX Runtime from a folder of a web host. */

import type { LoadedRuntime } from "../decoder.js";
import { fromFolder } from "../models/store.js";
import type { OnnxRuntime } from "../networks/onnx.js";
import { unpacked } from "../streams.js";

/** Whether a GPU draws: where there is one of hardware, never, or whatever there is. */
export type GpuChoice = "auto" | "off" | "any";

/** More threads than this gain little on pictures of usual sizes. */
const MOST_THREADS = 4;

/** Return whether networks can run on a GPU. */
async function hasGpu(choice: GpuChoice): Promise<boolean> {
  // The module waits for the GPU by switching stacks, which older browsers can't.
  if (choice === "off" || !("gpu" in navigator) || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  // A GPU that the processor imitates is slower than the processor.
  return adapter !== null && (choice === "any" || !adapter.info.isFallbackAdapter);
}

/**
 * Load ONNX Runtime.
 *
 * Its module is packed: many hosts send WebAssembly as it is, which is four times as much.
 */
export async function loadRuntime(folder: URL, choice: GpuChoice): Promise<LoadedRuntime> {
  const gpu = await hasGpu(choice);
  const name = gpu ? "ort-wasm-simd-threaded.jspi" : "ort-wasm-simd-threaded";
  const [runtime, packed] = await Promise.all([
    gpu ? import("onnxruntime-web/jspi") : import("onnxruntime-web/wasm"),
    fromFolder(folder)(`${name}.packed`),
  ]);
  const { wasm } = runtime.env;
  wasm.wasmPaths = { mjs: new URL(`${name}.mjs`, folder).href };
  wasm.wasmBinary = await unpacked(packed);
  // Threads share memory, which browsers give to isolated pages alone. Browsers count two for each
  // core, and two threads on one core wait for each other.
  const cores = globalThis.crossOriginIsolated ? Math.ceil(navigator.hardwareConcurrency / 2) : 1;
  wasm.numThreads = Math.min(cores, MOST_THREADS);
  return { runtime: runtime as OnnxRuntime, gpu };
}
