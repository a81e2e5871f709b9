import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readFile } from "../src/container/file.js";
import { type Model, modelOf } from "../src/models/model.js";
import { Arrays } from "../src/weights/safetensors.js";

const root = new URL("../../", import.meta.url);
const models = new Map<string, { model: Model; hash: string }>();

function modelFor(codec: string): { model: Model; hash: string } {
  let found = models.get(codec);
  if (!found) {
    const weights = readFileSync(new URL(`quantal/weights/${codec}.safetensors`, root));
    found = modelOf(new Arrays(weights));
    models.set(codec, found);
  }
  return found;
}

interface Golden {
  symbols: string;
  size: [number, number];
  frames?: number;
}

const golden = JSON.parse(
  readFileSync(new URL("tests/golden/golden.json", root), "utf8"),
) as Record<string, Golden>;

describe("golden files decode to the stored symbols", () => {
  for (const [name, { symbols, size, frames }] of Object.entries(golden)) {
    const path = new URL(`tests/golden/${name}.qtl`, root);
    test.skipIf(frames !== undefined || !existsSync(path))(name, () => {
      const { info, parts } = readFile(readFileSync(path));
      const { codec, modelHash, width, height, rate } = info.header;
      const { model, hash } = modelFor(codec);
      expect(hash).toBe(modelHash);
      expect([width, height]).toEqual(size);
      const payload = parts.get("image") ?? new Uint8Array();
      const parsed = model.parse({ payload, width, height, rate });
      const digest = createHash("sha256");
      for (const part of parsed.symbols) digest.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      expect(digest.digest("hex")).toBe(symbols);
    });
  }
});
