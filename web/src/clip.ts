/** A clip whose frames are drawn one by one. */

import { type ClipInfo, ClipFile, type CodedFrame } from "./container/clip.js";
import { contextLatents } from "./drawing/context.js";
import { Canvas } from "./drawing/canvas.js";
import { type ClipNetworks, predicted, predictedLatents } from "./drawing/predicted.js";
import { samplesOf } from "./drawing/transform.js";
import { ceilDiv } from "./core/planes.js";
import { ArgumentError, UnsupportedError } from "./errors.js";
import type { Context } from "./models/context.js";
import { STRIDE } from "./models/hyperprior.js";
import type { FrameSymbols, Predicted } from "./models/predicted.js";
import type { FloatPlane } from "./networks/plane.js";
import type { Drawn } from "./picture.js";

/** A drawn frame of a clip. */
export interface ClipFrame extends Drawn {
  number: number;
}

/** The models of a clip. */
export interface ClipModels {
  video: Predicted;
  picture: Context;
  networks: () => Promise<ClipNetworks>;
}

/** A reconstructed frame, from which the next one is predicted. */
interface Reconstruction {
  number: number;
  symbols: FrameSymbols;
  /** Its latents in units of the synthesis. */
  latents: FloatPlane;
  /** Its samples, not rounded; computed when they are asked for. */
  samples?: FloatPlane;
}

export class Clip {
  private last: Reconstruction | undefined;
  private group: { first: number; frames: CodedFrame[] } | undefined;

  constructor(private readonly file: ClipFile, private readonly models: ClipModels) {
    if (!file.info.frames) {
      throw new UnsupportedError("the clip has no whole group of frames; fetch the file again");
    }
  }

  get info(): ClipInfo {
    return this.file.info;
  }

  /** Draw a frame, from 0; frames in order are drawn quickest, others from their group's first. */
  async frame(number: number): Promise<ClipFrame> {
    const { header, frames, groups } = this.info;
    if (!Number.isInteger(number) || number < 0 || number >= frames) {
      throw new ArgumentError(`there is no frame ${number}; the clip has ${frames}, from 0`);
    }
    const info = groups.find((each) => number < each.frame + each.count);
    if (!info) throw new ArgumentError(`no group holds frame ${number}`);
    if (this.group?.first !== info.frame) {
      this.group = { first: info.frame, frames: this.file.frames(info) };
    }
    const { last } = this;
    const goesOn = last && last.number >= info.frame && last.number <= number;
    let found = goesOn ? last : await this.intra(info.frame, this.group.frames[0]);
    while (found.number < number) {
      found = await this.next(found, this.group.frames[found.number + 1 - info.frame]);
    }
    this.last = found;
    const canvas = new Canvas(header.width, header.height);
    canvas.put(await this.samples(found), 0, 0);
    const { width, height } = header;
    return {
      number, width, height, pixels: canvas.pixels, grey: false, opaque: true, metadata: {},
    };
  }

  private async intra(number: number, { payload, rate }: CodedFrame): Promise<Reconstruction> {
    const { width, height } = this.info.header;
    const { picture, networks } = this.models;
    const parsed = picture.parse({ payload, width, height, rate });
    const size = { rows: ceilDiv(height, STRIDE), columns: ceilDiv(width, STRIDE) };
    const latents = await contextLatents((await networks()).picture, picture, parsed, rate, size);
    return { number, symbols: { width, height }, latents };
  }

  private async next(before: Reconstruction, { payload, rate }: CodedFrame): Promise<Reconstruction> {
    const { video, networks } = this.models;
    const symbols = video.parsePredicted(payload, before.symbols, rate);
    const found = await networks();
    const prediction = await predicted(
      found, before.latents, () => this.samples(before), symbols);
    const latents = await predictedLatents(found.video, video, symbols, rate, prediction);
    return { number: before.number + 1, symbols: symbols.frame, latents };
  }

  private async samples(frame: Reconstruction): Promise<FloatPlane> {
    const { width, height } = frame.symbols;
    frame.samples ??= await samplesOf((await this.models.networks()).picture, frame.latents, width, height);
    return frame.samples;
  }
}
