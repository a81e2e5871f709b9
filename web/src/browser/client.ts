/** A decoder for pages: it works in a worker, or in the page where a worker can't be had. */

import type { CoreDecoder, DecodeOptions } from "../decoder.js";
import { errorData, errorFrom, QuantalError } from "../errors.js";
import type { Picture } from "../picture.js";
import type { Place } from "./local.js";
import type { Request, Response } from "./messages.js";
import type { GpuChoice } from "./runtime.js";

interface Waiting {
  resolve(picture: Picture): void;
  reject(error: QuantalError): void;
}

export class Decoder {
  private readonly place: Place;
  private worker: Worker | undefined;
  private local: Promise<CoreDecoder> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;

  /**
   * @param base holds the folders `models` and `ort`; relative to the page.
   * @param gpu whether a GPU draws: "auto" where there is one, "off", or "any", imitated ones too.
   */
  constructor(base: string | URL, gpu: GpuChoice = "auto") {
    this.place = { base: new URL(base, globalThis.document?.baseURI).href, gpu };
  }

  /** Draw a file. Rejects with a QuantalError, and can be used again after that. */
  decode(data: Uint8Array | ArrayBuffer, options: DecodeOptions = {}): Promise<Picture> {
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
    const worker = this.started();
    if (!worker) return this.here(bytes, options);
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, place: this.place, data: bytes, options } satisfies Request);
    });
  }

  /** End the worker; what is being decoded is given up. */
  close(): void {
    this.fail("the decoder was closed");
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
      if ("picture" in data) waiting?.resolve(data.picture);
      else waiting?.reject(errorFrom(data.error));
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

  private async here(data: Uint8Array, options: DecodeOptions): Promise<Picture> {
    this.local ??= import("./local.js").then(({ localDecoder }) => localDecoder(this.place));
    try {
      return await (await this.local).decode(data, options);
    } catch (error) {
      throw error instanceof QuantalError ? error : errorFrom(errorData(error));
    }
  }
}
