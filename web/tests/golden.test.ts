import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readFile } from "../src/container/file.js";
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

describe("golden files decode to the stored symbols", () => {
  for (const [name, { symbols, size, frames }] of Object.entries(golden)) {
    test.skipIf(frames !== undefined)(name, () => {
      const { info, parts } = readFile(goldenFile(name));
      const { codec, modelHash, width, height, rate } = info.header;
      const { model, hash } = modelFor(codec);
      expect(hash).toBe(modelHash);
      expect([width, height]).toEqual(size);
      const payload = parts.get("image") ?? new Uint8Array();
      const digest = createHash("sha256");
      for (const part of model.parse({ payload, width, height, rate }).symbols) {
        digest.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      }
      expect(digest.digest("hex")).toBe(symbols);
    });
  }
});
