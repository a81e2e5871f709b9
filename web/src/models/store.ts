/** Weights of codecs: which there are, where they are fetched from. */

import { ModelError } from "../errors.js";
import { Arrays } from "../weights/safetensors.js";
import { type Model, modelOf } from "./model.js";

/** Weights that are ready to be used. */
export interface LoadedModel {
  arrays: Arrays;
  model: Model;
  hash: string;
}

/** A codec's entry in models/index.json. */
export interface ModelEntry {
  file: string;
  bytes: number;
  hash: string;
}

/** Return the bytes of a file of the folder of models; rejects where there is none. */
export type FetchModel = (file: string) => Promise<Uint8Array>;

/** Return a FetchModel of a folder of a web host. */
export function fromFolder(folder: string | URL): FetchModel {
  return async (file) => {
    const url = new URL(file, folder);
    let response: Response;
    try {
      response = await fetch(url);
    } catch (error) {
      throw new ModelError(
        `${url} can't be fetched: ${error instanceof Error ? error.message : String(error)}; the `
        + "folder `models` has to lie on a web host, beside the script",
        "weights",
      );
    }
    if (!response.ok) {
      throw new ModelError(
        `${url} can't be fetched: the host answers ${response.status}; put the folder \`models\` `
        + "there, which `make web` writes",
        "weights",
      );
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}

export class ModelStore {
  private index: Promise<Record<string, ModelEntry>> | undefined;
  private readonly loaded = new Map<string, Promise<LoadedModel>>();

  constructor(private readonly fetchModel: FetchModel) {}

  /** Return the model of a codec; ModelError if there is none, or another than a file needs. */
  async get(codec: string, hash: string): Promise<LoadedModel> {
    const entry = await this.entry(codec);
    if (entry.hash !== hash) {
      throw new ModelError(
        `the file needs the model ${hash} of codec "${codec}", and ${entry.hash} is here; decode `
        + "it with the Python package and the weights that wrote it",
        "weights",
      );
    }
    let found = this.loaded.get(codec);
    if (!found) {
      found = this.load(entry);
      this.loaded.set(codec, found);
      // What failed may succeed the next time: a network is not always there.
      found.catch(() => this.loaded.delete(codec));
    }
    return found;
  }

  private async entry(codec: string): Promise<ModelEntry> {
    this.index ??= this.readIndex();
    this.index.catch(() => (this.index = undefined));
    const index = await this.index;
    const entry = Object.hasOwn(index, codec) ? index[codec] : undefined;
    if (!entry) {
      throw new ModelError(
        `the file was made by codec "${codec}", and this page has ${Object.keys(index).join(", ")}; `
        + "decode it with the Python package",
        "codec",
      );
    }
    return entry;
  }

  private async readIndex(): Promise<Record<string, ModelEntry>> {
    const data = await this.fetchModel("index.json");
    try {
      return JSON.parse(new TextDecoder().decode(data)) as Record<string, ModelEntry>;
    } catch {
      throw new ModelError("models/index.json is no JSON; write it anew by `make web`", "weights");
    }
  }

  private async load({ file, bytes }: ModelEntry): Promise<LoadedModel> {
    const data = await this.fetchModel(file);
    if (data.length !== bytes) {
      throw new ModelError(
        `${file} has ${data.length} bytes, expected ${bytes}; load the page again`, "weights",
      );
    }
    const arrays = new Arrays(data);
    return { arrays, ...modelOf(arrays) };
  }
}
