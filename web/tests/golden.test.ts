import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ClipFile } from "../src/container/clip.js";
import { readFile } from "../src/container/file.js";
import { ModelError } from "../src/errors.js";
import { type FrameSymbols, Predicted } from "../src/models/predicted.js";
import { goldenFile, modelFor, root } from "./helpers.js";

interface Golden {
  symbols: string;
  size: [number, number];
  /** Of clips alone. */
  frames?: number;
}

const golden = JSON.parse(
  readFileSync(new URL("tests/golden/golden.json", root), "utf8"),
) as Record<string, Golden>;

/** Codecs whose files are not read here yet. */
const OTHERS = new Set(["lossless"]);

/** Return the hash of symbols, lowest byte first. */
function digestOf(parts: Iterable<Int32Array>): string {
  const digest = createHash("sha256");
  for (const part of parts) {
    digest.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return digest.digest("hex");
}

/** Return the codec of a golden file. */
function readCodec(name: string): string {
  return name.split("/")[0] ?? "";
}

/** Yield the vectors and symbols of all frames of a clip. */
function* clipSymbols(data: Uint8Array): Generator<Int32Array> {
  const clip = new ClipFile(data);
  const { codec, width, height } = clip.info.header;
  const { model } = modelFor(codec);
  if (!(model instanceof Predicted)) throw new Error(`${codec} codes no clips`);
  const picture = modelFor(model.picture.codec);
  expect(picture.hash).toBe(model.picture.hash);
  for (const group of clip.info.groups) {
    let before: FrameSymbols | undefined;
    for (const { payload, rate } of clip.frames(group)) {
      if (!before) {
        yield* picture.model.parse({ payload, width, height, rate }).symbols;
        before = { width, height };
        continue;
      }
      before = model.parsePredicted(payload, before, rate).frame;
      if (before.vectors) yield Int32Array.from(before.vectors.field.values);
      if (before.y) yield before.y;
    }
  }
}

describe("golden files decode to the stored symbols", () => {
  for (const [name, { symbols, size, frames }] of Object.entries(golden)) {
    test(name, () => {
      const data = goldenFile(name);
      if (OTHERS.has(readCodec(name))) {
        expect(() => modelFor(readCodec(name))).toThrow(ModelError);
        return;
      }
      if (frames !== undefined) {
        const { header, frames: found } = new ClipFile(data).info;
        expect([header.width, header.height, found]).toEqual([...size, frames]);
        expect(digestOf(clipSymbols(data))).toBe(symbols);
        return;
      }
      const { info, parts } = readFile(data);
      const { modelHash, width, height, rate } = info.header;
      // The folder has the name of the weights, which are other ones of the same codec for a tune.
      const { model, hash } = modelFor(name.split("/")[0]);
      expect(hash).toBe(modelHash);
      expect([width, height]).toEqual(size);
      const payload = parts.get("image") ?? new Uint8Array();
      expect(digestOf(model.parse({ payload, width, height, rate }).symbols)).toBe(symbols);
    });
  }
});
