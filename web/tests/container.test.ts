import { describe, expect, test } from "vitest";
import { ClipFile } from "../src/container/clip.js";
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

describe("a clip", () => {
  const clip = goldenFile("video-s/clip");

  /** Read everything of a clip. */
  function readAll(data: Uint8Array): number {
    const file = new ClipFile(data);
    return file.info.groups.reduce((sum, group) => sum + file.frames(group).length, 0);
  }

  test("is listed by its groups", () => {
    const { info } = new ClipFile(clip);
    expect([info.frames, info.groups.length, info.cut]).toEqual([10, 2, false]);
    expect(readAll(clip)).toBe(10);
  });

  test("that was cut gives the groups that are whole", () => {
    const { groups } = new ClipFile(clip).info;
    const cut = new ClipFile(clip.subarray(0, groups[1].offset + 20)).info;
    expect([cut.frames, cut.cut]).toEqual([6, true]);
    for (let length = 0; length < groups[0].offset - 4; length++) {
      expect(() => new ClipFile(clip.subarray(0, length))).toThrow(BitstreamError);
    }
  });

  test("with any byte changed gives other frames by a named error alone", () => {
    for (let place = 0; place < clip.length; place++) {
      const changed = new Uint8Array(clip);
      changed[place] ^= 64;
      let read = 0;
      try {
        read = readAll(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(BitstreamError);
        continue;
      }
      // What is left of it was not touched: the index, or the head of a chunk behind it.
      expect(read).toBeLessThanOrEqual(10);
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
