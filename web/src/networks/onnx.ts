/** The floating-point networks of a codec, run by ONNX Runtime. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { externalWeights } from "./graph.js";
import type { FloatPlane, Networks } from "./plane.js";

/** What is used of ONNX Runtime. */
export interface OnnxRuntime {
  InferenceSession: {
    create(graph: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => Tensor;
}

/** What a weights file says of a graph; see quantal/codecs/packed.py. */
interface GraphInfo {
  /** Names of inputs, in order; `rate` comes last. */
  inputs: string[];
  reach?: number;
}

export class OnnxNetworks implements Networks {
  private readonly sessions = new Map<string, Promise<InferenceSession>>();
  private readonly graphs: Readonly<Record<string, GraphInfo>>;

  /**
   * @param runtime ONNX Runtime.
   * @param arrays of a weights file that carries its graphs.
   * @param providers where networks run, in order of preference.
   */
  constructor(
    private readonly runtime: OnnxRuntime,
    private readonly arrays: Arrays,
    private readonly providers: string[],
  ) {
    try {
      this.graphs = JSON.parse(arrays.metadata.graphs ?? "") as Record<string, GraphInfo>;
    } catch {
      throw new ModelError(
        "these weights carry no graphs of their networks; take the packed ones that `make web` writes",
      );
    }
  }

  has(name: string): boolean {
    return name in this.graphs;
  }

  reach(name: string): number {
    return this.info(name).reach ?? 0;
  }

  async run(name: string, rate: number, ...inputs: FloatPlane[]): Promise<FloatPlane> {
    const session = await this.session(name);
    const feeds: Record<string, Tensor> = {};
    this.info(name).inputs.forEach((input, place) => {
      // An exporter leaves out what a network doesn't use.
      if (!session.inputNames.includes(input)) return;
      if (input === "rate") {
        feeds[input] = new this.runtime.Tensor("float32", Float32Array.of(rate), [1]);
        return;
      }
      const { data, channels, height, width } = inputs[place];
      feeds[input] = new this.runtime.Tensor("float32", data, [1, channels, height, width]);
    });
    const results = await session.run(feeds);
    const result = results[session.outputNames[0]];
    const [, channels, height = 1, width = 1] = result.dims;
    return { data: result.data as Float32Array, channels, height, width };
  }

  private info(name: string): GraphInfo {
    const found = this.graphs[name];
    if (!found) {
      throw new ModelError(`the weights have no network ${name}; fetch them again, or update this page`);
    }
    return found;
  }

  private session(name: string): Promise<InferenceSession> {
    let found = this.sessions.get(name);
    if (!found) {
      found = this.create(name);
      this.sessions.set(name, found);
    }
    return found;
  }

  private create(name: string): Promise<InferenceSession> {
    const graph = this.arrays.bytes(`graph.${name}`);
    return this.runtime.InferenceSession.create(graph, {
      executionProviders: this.providers,
      externalData: this.outside(graph),
      // One picture is drawn at a time, so memory that is kept between runs serves nobody.
      enableCpuMemArena: false,
      logSeverityLevel: 3,
    });
  }

  /** Return the files that a graph expects, as float32. */
  private outside(graph: Uint8Array): { path: string; data: Uint8Array }[] {
    const files = new Map<string, { name: string; offset: number; values: Float32Array }[]>();
    for (const { name, location, offset, length } of externalWeights(graph)) {
      const values = this.arrays.float32(name);
      if (length && length !== values.byteLength) {
        throw new ModelError(`the graph and the weights disagree about ${name}; fetch both again`);
      }
      const parts = files.get(location) ?? [];
      parts.push({ name, offset, values });
      files.set(location, parts);
    }
    return [...files].map(([path, parts]) => {
      const ends = parts.map((part) => part.offset + part.values.byteLength);
      // No more than the weights have, whatever the graph says.
      const sum = parts.reduce((total, part) => total + part.values.byteLength, 0);
      const size = Math.max(...ends);
      if (size > 2 * sum + 65536) {
        throw new ModelError("a graph expects its weights in impossible places; fetch it again");
      }
      const data = new Uint8Array(size);
      for (const { offset, values } of parts) data.set(new Uint8Array(values.buffer), offset);
      return { path, data };
    });
  }
}
