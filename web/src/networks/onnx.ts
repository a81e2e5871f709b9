/** The floating-point networks of a codec, run by ONNX Runtime. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { externalWeights } from "./graph.js";
import { cropped, type FloatPlane, type Networks } from "./plane.js";

/** Networks that are worth a GPU: they do most of the work, and take and give whole planes. */
const HEAVY = new Set(["synthesis", "drawn"]);
/** Positions of the plane on which a GPU has to give what the processor gives, and how closely. */
const TRIED = 8;
const TOLERANCE = 0.25; // levels of 255

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
  private readonly onGpu = new Set<string>();
  private readonly graphs: Readonly<Record<string, GraphInfo>>;

  /**
   * @param runtime ONNX Runtime.
   * @param arrays of a weights file that carries its graphs.
   * @param gpu whether the runtime has WebGPU; it is used where it gives the same pictures.
   */
  constructor(
    private readonly runtime: OnnxRuntime,
    private readonly arrays: Arrays,
    private readonly gpu: boolean,
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
    let session = this.sessions.get(name);
    if (!session) {
      session = this.gpu && HEAVY.has(name) ? this.tried(name, rate, inputs) : this.create(name, "wasm");
      this.sessions.set(name, session);
    }
    const ready = await session;
    try {
      return await this.runOn(ready, name, rate, inputs);
    } catch (error) {
      if (!this.onGpu.delete(name)) throw error;
      // A GPU may be lost, or have too little memory for a whole window.
      this.sessions.set(name, this.create(name, "wasm"));
      return this.run(name, rate, ...inputs);
    }
  }

  private async runOn(
    session: InferenceSession, name: string, rate: number, inputs: FloatPlane[],
  ): Promise<FloatPlane> {
    const feeds: Record<string, Tensor> = {};
    // What has no channels, as the latents before the first step, is no input of a graph.
    const planes = inputs.filter((plane) => plane.channels > 0);
    this.info(name).inputs.forEach((input, place) => {
      // An exporter leaves out what a network doesn't use.
      if (!session.inputNames.includes(input)) return;
      if (input === "rate") {
        feeds[input] = new this.runtime.Tensor("float32", Float32Array.of(rate), [1]);
        return;
      }
      const { data, channels, height, width } = planes[place];
      feeds[input] = new this.runtime.Tensor("float32", data, [1, channels, height, width]);
    });
    const results = await session.run(feeds);
    const result = results[session.outputNames[0]];
    const [, channels, height = 1, width = 1] = result.dims;
    return { data: result.data as Float32Array, channels, height, width };
  }

  /** Return a session on the GPU if it draws a corner of the picture as the processor does. */
  private async tried(name: string, rate: number, inputs: FloatPlane[]): Promise<InferenceSession> {
    const plain = await this.create(name, "wasm");
    const [{ height, width }] = inputs;
    const corner = inputs.map((plane) => {
      const scale = plane.height / height;
      const span = (length: number) => ({ start: 0, stop: Math.min(TRIED, length) * scale });
      return cropped(plane, span(height), span(width));
    });
    try {
      const fast = await this.create(name, "webgpu");
      const [expected, found] = await Promise.all(
        [plain, fast].map((session) => this.runOn(session, name, rate, corner)));
      const close = found.data.every((value, i) => Math.abs(value - expected.data[i]) <= TOLERANCE);
      if (close && found.data.length === expected.data.length) {
        await plain.release();
        this.onGpu.add(name);
        return fast;
      }
      await fast.release();
    } catch {
      // A GPU that lacks an operation or memory: the processor draws.
    }
    return plain;
  }

  private info(name: string): GraphInfo {
    const found = this.graphs[name];
    if (!found) {
      throw new ModelError(`the weights have no network ${name}; fetch them again, or update this page`);
    }
    return found;
  }

  private create(name: string, provider: "wasm" | "webgpu"): Promise<InferenceSession> {
    const graph = this.arrays.bytes(`graph.${name}`);
    return this.runtime.InferenceSession.create(graph, {
      executionProviders: [provider],
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
