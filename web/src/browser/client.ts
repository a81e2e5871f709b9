/** A decoder for pages: it works in a worker, or in the page where a worker can't be had. */

import type { ClipFrame } from "../clip.js";
import type { ClipInfo } from "../container/clip.js";
import type { DecodeOptions } from "../decoder.js";
import { errorData, errorFrom, QuantalError } from "../errors.js";
import type { Picture } from "../picture.js";
import type { Answering } from "./answering.js";
import type { Place } from "./local.js";
import type { Answers, Asked, Kind, Questions, Request, Response } from "./messages.js";
import type { GpuChoice } from "./runtime.js";

interface Waiting {
  resolve(result: Answers[Kind]): void;
  reject(error: QuantalError): void;
}

/** An open clip, whose frames are drawn when they are asked for. */
export interface OpenClip {
  info: ClipInfo;
  /** Draw a frame, from 0; frames in order are drawn quickest. */
  frame(number: number): Promise<ClipFrame>;
  close(): Promise<void>;
}

export class Decoder {
  private readonly place: Place;
  private worker: Worker | undefined;
  private local: Promise<Answering> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;

  /**
   * @param base holds the folders `models` and `ort`; relative to the page.
   * @param gpu whether a GPU draws: "auto" where there is one, "off", or "any", imitated ones too.
   */
  constructor(base: string | URL, gpu: GpuChoice = "auto") {
    this.place = { base: new URL(base, globalThis.document?.baseURI).href, gpu };
  }

  /** Draw a picture. Rejects with a QuantalError, and can be used again after that. */
  decode(data: Uint8Array | ArrayBuffer, options: DecodeOptions = {}): Promise<Picture> {
    return this.ask("decode", { data: bytesOf(data), options });
  }

  /** Open a clip. */
  async openClip(data: Uint8Array | ArrayBuffer): Promise<OpenClip> {
    const clip = this.count++;
    const info = await this.ask("open", { clip, data: bytesOf(data) });
    return {
      info,
      frame: (number) => this.ask("frame", { clip, number }),
      close: () => this.ask("close", { clip }),
    };
  }

  /** End the worker; what is being decoded is given up. */
  close(): void {
    this.fail("the decoder was closed");
  }

  private async ask<Each extends Kind>(kind: Each, question: Questions[Each]): Promise<Answers[Each]> {
    const asked = { kind, ...question } as unknown as Asked;
    const worker = this.started();
    const answer = worker ? this.send(worker, asked) : this.here(asked);
    return (await answer) as Answers[Each];
  }

  private send(worker: Worker, asked: Asked): Promise<Answers[Kind]> {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, place: this.place, ...asked } satisfies Request);
    });
  }

  private started(): Worker | undefined {
    if (this.worker || this.local) return this.worker;
    try {
      this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    } catch {
      return undefined; // of another host: browsers start no workers from there
    }
    this.worker.onmessage = ({ data }: MessageEvent<Response>) => {
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("error" in data) waiting?.reject(errorFrom(data.error));
      else waiting?.resolve(data.result);
    };
    // Out of memory, for instance: the next picture gets a worker of its own.
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(
        `the decoder stopped: ${event.message || "its script can't be loaded"}; try a smaller `
        + "picture, or load the page again",
      );
    };
    return this.worker;
  }

  private fail(reason: string): void {
    this.worker?.terminate();
    this.worker = undefined;
    for (const { reject } of this.waiting.values()) reject(new QuantalError(reason));
    this.waiting.clear();
  }

  private async here(asked: Asked): Promise<Answers[Kind]> {
    this.local ??= import("./answering.js").then(({ Answering }) => new Answering(this.place));
    try {
      return await (await this.local).answer(asked);
    } catch (error) {
      throw error instanceof QuantalError ? error : errorFrom(errorData(error));
    }
  }
}

function bytesOf(data: Uint8Array | ArrayBuffer): Uint8Array {
  return data instanceof Uint8Array ? data : new Uint8Array(data);
}
