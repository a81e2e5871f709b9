/** Weights of codecs: which there are, where they are fetched from. */

import { ModelError } from "../errors.js";
import { unpacked } from "../streams.js";
import { Arrays } from "../weights/safetensors.js";
import { type Model, modelOf } from "./model.js";

/** Weights that are ready to be used. */
export interface LoadedModel {
  arrays: Arrays;
  model: Model;
  hash: string;
}

/** One of a codec's entries in models/index.json. */
export interface ModelEntry {
  file: string;
  hash: string;
}

type Index = Record<string, ModelEntry[]>;

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
  private index: Promise<Index> | undefined;
  private readonly loaded = new Map<string, Promise<LoadedModel>>();

  constructor(private readonly fetchModel: FetchModel) {}

  /** Return the model that a file needs; ModelError if it is not here. */
  async get(codec: string, hash: string): Promise<LoadedModel> {
    const { file } = await this.entry(codec, hash);
    let found = this.loaded.get(file);
    if (!found) {
      found = this.load(file);
      this.loaded.set(file, found);
      // What failed may succeed the next time: a network is not always there.
      found.catch(() => this.loaded.delete(file));
    }
    return found;
  }

  private async entry(codec: string, hash: string): Promise<ModelEntry> {
    this.index ??= this.readIndex();
    this.index.catch(() => (this.index = undefined));
    const index = await this.index;
    const entries = Object.hasOwn(index, codec) ? index[codec] : [];
    if (!entries.length) {
      throw new ModelError(
        `the file was made by codec "${codec}", and this page has ${Object.keys(index).join(", ")}; `
        + "decode it with the Python package",
        "codec",
      );
    }
    const entry = entries.find((each) => each.hash === hash);
    if (!entry) {
      throw new ModelError(
        `the file needs the model ${hash} of codec "${codec}", and `
        + `${entries.map((each) => each.hash).join(", ")} is here; decode it with the Python `
        + "package and the weights that wrote it",
        "weights",
      );
    }
    return entry;
  }

  private async readIndex(): Promise<Index> {
    const data = await this.fetchModel("index.json");
    try {
      return JSON.parse(new TextDecoder().decode(data)) as Index;
    } catch {
      throw new ModelError("models/index.json is no JSON; write it anew by `make web`", "weights");
    }
  }

  private async load(file: string): Promise<LoadedModel> {
    const arrays = new Arrays(await unpacked(await this.fetchModel(file)));
    return { arrays, ...modelOf(arrays) };
  }
}
