/** A decoder that runs where it is called: in a worker, or in a page. */

import { CoreDecoder, type DecoderOptions } from "../decoder.js";
import { fromFolder } from "../models/store.js";
import { type GpuChoice, loadRuntime } from "./runtime.js";

/** Where a decoder's files are, and what it may use. */
export interface Place {
  /** Holds the folders `models` and `ort`. */
  base: string;
  gpu: GpuChoice;
}

/** Return a decoder for a folder of a web host. */
export function localDecoder({ base, gpu }: Place, options: Partial<DecoderOptions> = {}): CoreDecoder {
  return new CoreDecoder({
    models: fromFolder(new URL("models/", base)),
    runtime: () => loadRuntime(new URL("ort/", base), gpu),
    ...options,
  });
}
