import { describe, expect, test } from "vitest";
import { crc16, crc32 } from "../src/container/crc.js";
import { mediaOf, probe, readFile } from "../src/container/file.js";
import {
  BitstreamError, CorruptError, TruncatedError, UnsupportedVersionError,
} from "../src/errors.js";
import { goldenFile } from "./helpers.js";

const whole = goldenFile("context-s/alpha");

function changed(place: number, value: number): Uint8Array {
  const found = new Uint8Array(whole);
  found[place] = value;
  return found;
}

describe("a file", () => {
  test("is listed by its first bytes", () => {
    const { header, parts, bytes } = readFile(whole).info;
    expect(header).toMatchObject({ codec: "context-s", width: 128, height: 128, quality: 50 });
    expect(parts.map((part) => part.kind)).toEqual(["image", "alpha"]);
    expect(bytes).toBe(whole.length);
    expect(mediaOf(whole)).toBe("picture");
  });

  test("that is none says what it starts with", () => {
    const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 1, 2, 3);
    expect(() => probe(png)).toThrow(CorruptError);
    expect(() => probe(png)).toThrow("not a .qtl file: starts with 89 50 4e 47");
    expect(() => probe(new Uint8Array())).toThrow(TruncatedError);
  });

  test("of a later version asks for a newer reader", () => {
    expect(() => probe(changed(4, 2))).toThrow(UnsupportedVersionError);
    expect(() => probe(changed(4, 2))).toThrow("version 2 found, expected 1");
  });

  test("of other media is named", () => {
    const clip = goldenFile("video-s/clip");
    expect(() => probe(clip)).toThrow("the file holds a clip, expected a picture");
  });

  test("that was cut anywhere is found out", () => {
    for (let length = 0; length < whole.length; length++) {
      expect(() => readFile(whole.subarray(0, length))).toThrow(TruncatedError);
    }
  });

  test("that goes on behind its end is found out", () => {
    expect(() => readFile(Uint8Array.of(...whole, 0))).toThrow("trailing bytes belong to nothing");
  });

  test("with any bit changed is refused by a named error", () => {
    for (let place = 0; place < whole.length; place++) {
      for (const bit of [1, 128]) {
        expect(() => readFile(changed(place, whole[place] ^ bit))).toThrow(BitstreamError);
      }
    }
  });
});

describe("checksums", () => {
  const text = new TextEncoder().encode("123456789");

  test("have the values that their catalogues give", () => {
    expect(crc32(text)).toBe(0xcbf43926);
    expect(crc16(text)).toBe(0x31c3); // XMODEM, which Python's binascii.crc_hqx computes
  });

  test("continue those of bytes before", () => {
    expect(crc32(text.subarray(4), crc32(text.subarray(0, 4)))).toBe(crc32(text));
    expect(crc16(text.subarray(4), crc16(text.subarray(0, 4)))).toBe(crc16(text));
  });
});
