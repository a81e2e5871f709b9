/** Decoding .qtl pictures in browsers and Node. */

export type { Clip, ClipFrame } from "./clip.js";
export { ClipFile, type ClipHeader, type ClipInfo, type GroupInfo } from "./container/clip.js";
export { mediaOf, probe, readFile, type FileInfo, type PartInfo, type PictureFile } from "./container/file.js";
export type { Header, Media } from "./container/header.js";
export {
  CoreDecoder, MOST_PIXELS, type DecodeOptions, type DecoderOptions, type LoadedRuntime, type Symbols,
} from "./decoder.js";
export * from "./errors.js";
export { fromFolder, type FetchModel, type ModelEntry } from "./models/store.js";
export type { OnnxRuntime } from "./networks/onnx.js";
export type { Drawn, Metadata, Picture } from "./picture.js";
export { writePng } from "./png/write.js";
