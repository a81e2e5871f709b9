/** From the bytes of a .qtl file to a picture. */

import { Clip } from "./clip.js";
import { ClipFile } from "./container/clip.js";
import { type FileInfo, type PictureFile, readFile } from "./container/file.js";
import { Canvas } from "./drawing/canvas.js";
import { drawClasses } from "./drawing/classes.js";
import { drawContext } from "./drawing/context.js";
import { drawHyperprior } from "./drawing/hyperprior.js";
import { drawTokens } from "./drawing/tokens.js";
import { drawVq } from "./drawing/vq.js";
import { ArgumentError, ModelError, UnsupportedError } from "./errors.js";
import { Classes } from "./models/classes.js";
import { Context } from "./models/context.js";
import { Hyperprior } from "./models/hyperprior.js";
import type { ParseRequest } from "./models/parsed.js";
import { Predicted } from "./models/predicted.js";
import { type FetchModel, type LoadedModel, ModelStore } from "./models/store.js";
import { Tokens } from "./models/tokens.js";
import { OnnxNetworks, type OnnxRuntime } from "./networks/onnx.js";
import type { Networks } from "./networks/plane.js";
import type { Picture } from "./picture.js";
import { readGreyPng } from "./png/read.js";

/** The most pixels of a picture: one takes about 20 bytes of memory. */
export const MOST_PIXELS = 40_000_000;

/** ONNX Runtime, and whether it has WebGPU. */
export interface LoadedRuntime {
  runtime: OnnxRuntime;
  gpu: boolean;
}

export interface DecoderOptions {
  /** Where weights come from. */
  models: FetchModel;
  /** Loads ONNX Runtime; called when the first picture is drawn. */
  runtime: () => Promise<LoadedRuntime>;
  /** The most pixels of a picture; default: 40 million. */
  mostPixels?: number;
}

export interface DecodeOptions {
  /** Draw the first parts of a progressive stream alone; the file may then be cut. */
  maxParts?: number;
}

/** Every symbol of a file, in coding order. */
export interface Symbols {
  info: FileInfo;
  symbols: Int32Array[];
}

export class CoreDecoder {
  private readonly store: ModelStore;
  private readonly networks = new Map<string, Networks>();
  private runtime: Promise<LoadedRuntime> | undefined;
  private readonly mostPixels: number;

  constructor(private readonly options: DecoderOptions) {
    this.store = new ModelStore(options.models);
    this.mostPixels = options.mostPixels ?? MOST_PIXELS;
  }

  /** Return the symbols of a file; no network in floating point runs. */
  async parse(data: Uint8Array): Promise<Symbols> {
    const file = this.read(data, {});
    const { model } = await this.model(file);
    return { info: file.info, symbols: model.parse(request(file, undefined)).symbols };
  }

  /** Draw a file. */
  async decode(data: Uint8Array, options: DecodeOptions = {}): Promise<Picture> {
    const { maxParts } = options;
    if (maxParts !== undefined && !(Number.isInteger(maxParts) && maxParts >= 1)) {
      throw new ArgumentError(`maxParts is ${maxParts}, expected a whole number from 1 on`);
    }
    const file = this.read(data, options);
    const { header } = file.info;
    // It takes as long to load as weights do, so both begin at once; an error shows when it counts.
    this.loadRuntime().catch(() => undefined);
    const loaded = await this.model(file);
    const all = partsOf(loaded, header.rate);
    if (maxParts !== undefined && all === 1) {
      throw new ArgumentError(
        `codec "${header.codec}" writes no parts that could be drawn one by one; leave maxParts out`,
        "no-parts",
      );
    }
    const drawn = Math.min(maxParts ?? all, all);
    // A whole file that is drawn from all of its parts is checked to its last bit.
    const wanted = file.missing || drawn < all ? drawn : undefined;
    const canvas = new Canvas(header.width, header.height);
    const start = performance.now();
    const draw = this.prepared(loaded, request(file, wanted), header.codec, canvas);
    const parsed = performance.now();
    await draw();
    if (header.grey) canvas.grey();
    const alpha = file.parts.get("alpha");
    if (alpha) canvas.opacity(await readGreyPng(alpha, header.width, header.height));
    const times = { parse: parsed - start, draw: performance.now() - parsed };
    return {
      info: file.info, width: header.width, height: header.height, pixels: canvas.pixels,
      grey: header.grey, opaque: !alpha, metadata: metadataOf(file),
      parts: { drawn, all }, warnings: warningsOf(file), times,
    };
  }

  /** Open a clip; its frames are drawn when they are asked for. */
  async openClip(data: Uint8Array): Promise<Clip> {
    const file = new ClipFile(data);
    const { codec, modelHash, width, height } = file.info.header;
    this.checkSize(width, height);
    this.loadRuntime().catch(() => undefined);
    const { arrays, model: video } = await this.store.get(codec, modelHash);
    if (!(video instanceof Predicted)) {
      throw new ModelError(`the clip names codec "${codec}", which codes pictures`);
    }
    const { picture } = video;
    const own = await this.store.get(picture.codec, picture.hash);
    if (!(own.model instanceof Context)) {
      throw new ModelError(`codec "${codec}" is built on "${picture.codec}", which codes no frames`);
    }
    const networks = async () => ({
      video: await this.networksOf(codec, arrays),
      picture: await this.networksOf(picture.codec, own.arrays),
    });
    return new Clip(file, { video, picture: own.model, networks });
  }

  private read(data: Uint8Array, { maxParts }: DecodeOptions): PictureFile {
    const file = readFile(data, maxParts !== undefined);
    this.checkSize(file.info.header.width, file.info.header.height);
    return file;
  }

  private checkSize(width: number, height: number): void {
    if (width * height > this.mostPixels) {
      throw new UnsupportedError(
        `the picture has ${width}x${height} pixels, a browser can draw ${this.mostPixels} at most; `
        + "decode it with the Python package: quantal decompress",
        "size",
      );
    }
  }

  private async model(file: PictureFile): Promise<LoadedModel> {
    const { codec, modelHash } = file.info.header;
    const loaded = await this.store.get(codec, modelHash);
    if (loaded.model instanceof Predicted) {
      throw new ModelError(`the picture names codec "${codec}", which codes clips`);
    }
    return loaded;
  }

  /** Read the symbols of an image part, and return what draws them. */
  private prepared(
    { model, arrays }: LoadedModel, request: ParseRequest, codec: string, canvas: Canvas,
  ): () => Promise<void> {
    const { rate } = request;
    const networks = () => this.networksOf(codec, arrays);
    if (model instanceof Context) {
      const parsed = model.parse(request);
      return async () => drawContext(await networks(), model, parsed, rate, canvas);
    }
    if (model instanceof Hyperprior) {
      const parsed = model.parse(request);
      return async () => drawHyperprior(await networks(), model, parsed, rate, canvas);
    }
    if (model instanceof Classes) {
      const parsed = model.parse(request);
      return async () => drawClasses(await networks(), model, parsed, rate, canvas);
    }
    if (model instanceof Tokens) {
      const parsed = model.parse(request);
      return async () => drawTokens(await networks(), arrays, parsed, canvas);
    }
    const parsed = model.parse(request);
    return async () => drawVq(await networks(), arrays, parsed, canvas);
  }

  private loadRuntime(): Promise<LoadedRuntime> {
    this.runtime ??= this.options.runtime();
    // What failed may succeed the next time: a network is not always there.
    this.runtime.catch(() => (this.runtime = undefined));
    return this.runtime;
  }

  private async networksOf(codec: string, arrays: LoadedModel["arrays"]): Promise<Networks> {
    let found = this.networks.get(codec);
    if (!found) {
      const { runtime, gpu } = await this.loadRuntime();
      found = new OnnxNetworks(runtime, arrays, gpu);
      this.networks.set(codec, found);
    }
    return found;
  }
}

function partsOf({ model }: LoadedModel, rate: number): number {
  if (model instanceof Context) return model.parts;
  return model instanceof Tokens ? model.partsAt(rate) : 1;
}

function request(file: PictureFile, parts: number | undefined): ParseRequest {
  const { width, height, rate } = file.info.header;
  const payload = file.parts.get("image") ?? new Uint8Array();
  return { payload, width, height, rate, parts, missing: file.missing };
}

function metadataOf({ parts }: PictureFile): Picture["metadata"] {
  return { icc: parts.get("icc"), exif: parts.get("exif"), xmp: parts.get("xmp") };
}

function warningsOf(file: PictureFile): string[] {
  if (!file.missing) return [];
  return ["the file was cut, so it can't be checked against its checksum; the picture is a coarse one"];
}
