import { deflateSync, inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readFile } from "../src/container/file.js";
import { hex, Sha256 } from "../src/core/sha256.js";
import { CoreDecoder } from "../src/decoder.js";
import { ModelError, UnsupportedError } from "../src/errors.js";
import { externalWeights } from "../src/networks/graph.js";
import type { Picture } from "../src/picture.js";
import { readGreyPng } from "../src/png/read.js";
import { writePng } from "../src/png/write.js";
import { unpacked } from "../src/streams.js";
import { Arrays } from "../src/weights/safetensors.js";
import { goldenFile, randomNumbers, weightsFile } from "./helpers.js";

describe("SHA-256", () => {
  test("has the values of its standard", () => {
    const digest = (text: string) => hex(new Sha256().update(new TextEncoder().encode(text)).digest());
    expect(digest("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(digest("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(digest("a".repeat(1000)))
      .toBe("41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
  });
});

describe("weights", () => {
  const file = weightsFile({ numbers: [[2], Int32Array.of(1, -2)] }, { format: "test" });

  test("are read by name", () => {
    expect([...new Arrays(file).int32("numbers")]).toEqual([1, -2]);
  });

  test("that are cut or damaged are refused by name", () => {
    for (let length = 0; length < file.length; length++) {
      expect(() => new Arrays(file.subarray(0, length))).toThrow(ModelError);
    }
    expect(() => new Arrays(file).int32("others")).toThrow("no array others");
    expect(() => new Arrays(file).uint8("numbers")).toThrow("is not uint8");
  });

  test("come from hosts packed or not", async () => {
    expect(await unpacked(file)).toBe(file);
  });
});

describe("a graph", () => {
  test("that is no protocol buffer is refused", () => {
    expect(() => externalWeights(Uint8Array.of(0x3a, 0xff, 0x01, 0x2a))).toThrow(ModelError);
    expect(externalWeights(new Uint8Array())).toEqual([]);
  });
});

describe("PNG", () => {
  const [width, height] = [13, 9];
  const random = randomNumbers(5);
  const pixels = Uint8ClampedArray.from({ length: 4 * width * height }, () => random() >>> 24);
  const { info } = readFile(goldenFile("vq/alpha"));
  const about = { info, width, height, warnings: [], parts: { drawn: 1, all: 1 }, times: { parse: 0, draw: 0 } };
  const picture: Picture = {
    ...about, pixels, grey: false, opaque: false, metadata: { icc: Uint8Array.of(1, 2, 3) },
  };

  test("keeps every sample and the profile", async () => {
    const png = await writePng(picture);
    const text = new TextDecoder("latin1").decode(png);
    expect(text.indexOf("iCCP")).toBeLessThan(text.indexOf("IDAT"));
    const start = text.indexOf("IDAT") + 4;
    const lines = inflateSync(png.subarray(start, text.indexOf("IEND") - 8));
    expect(lines.length).toBe(height * (4 * width + 1));
    // The first sample of a line of Paeth's filter, above which there is nothing, stays as it is.
    expect([lines[0], lines[1]]).toEqual([4, pixels[0]]);
  });

  test("of grey samples is read back", async () => {
    const png = await writePng({ ...picture, grey: true, opaque: true, metadata: {} });
    const grey = await readGreyPng(png, width, height);
    expect([...grey]).toEqual(Array.from({ length: width * height }, (_, i) => pixels[4 * i]));
  });

  test("that holds more than its pixels is refused", async () => {
    const png = await writePng({ ...picture, grey: true, opaque: true, metadata: {} });
    await expect(readGreyPng(png, width, height - 1)).rejects.toThrow("damaged");
    const bomb = deflateSync(new Uint8Array(1 << 24));
    const start = new TextDecoder("latin1").decode(png).indexOf("IDAT");
    const large = new Uint8Array(start + 4 + bomb.length + 16);
    large.set(png.subarray(0, start + 4));
    large.set(bomb, start + 4);
    new DataView(large.buffer).setUint32(start - 4, bomb.length);
    await expect(readGreyPng(large, width, height)).rejects.toThrow("damaged");
  });
});

describe("a decoder", () => {
  const nothing = () => Promise.reject(new Error("not needed"));

  test("refuses a picture that is too large, and says what can be done", async () => {
    const decoder = new CoreDecoder({ models: nothing, runtime: nothing, mostPixels: 100 });
    const decoding = decoder.decode(goldenFile("vq/grey"));
    await expect(decoding).rejects.toThrow(UnsupportedError);
    await expect(decoding).rejects.toThrow("200x200 pixels");
  });

  test("names the codecs and models that there are", async () => {
    const index = { vq: [{ file: "vq.packed", hash: "00000000" }] };
    const models = () => Promise.resolve(new TextEncoder().encode(JSON.stringify(index)));
    const decoder = new CoreDecoder({ models, runtime: nothing });
    await expect(decoder.parse(goldenFile("tokens/grey"))).rejects.toThrow("this page has vq");
    await expect(decoder.parse(goldenFile("vq/grey"))).rejects.toThrow("needs the model eae20248");
  });
});
