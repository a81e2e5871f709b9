/** Decoding .qtl pictures in a page, by a worker. */

export * from "../index.js";
export { Decoder, type OpenClip } from "./client.js";
export type { GpuChoice } from "./runtime.js";
export { defineElement } from "./element.js";
export { elementOf, pngOf } from "./show.js";
