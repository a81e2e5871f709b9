/** The header of a .qtl file; docs/reference/format.md specifies it. */

import { CorruptError, TruncatedError, UnsupportedVersionError } from "../errors.js";
import type { Cursor } from "./cursor.js";

const MAGIC = [0x8b, 0x51, 0x54, 0x4c];
const VERSION = 1;
const MEDIA = ["picture", "video", "features"] as const;
const NEWER = "the file needs a newer reader: update this one";
const LAST_RATE = 252;

/** What a file holds. */
export type Media = (typeof MEDIA)[number];

/** The header of a picture. */
export interface Header {
  version: number;
  /** The name of the codec that wrote the image part. */
  codec: string;
  /** Which model it needs, eight hexadecimal digits. */
  modelHash: string;
  media: Media;
  grey: boolean;
  /** In pixels. */
  width: number;
  height: number;
  /** 0..252. */
  rate: number;
  /** 1..100, the nearest to the rate. */
  quality: number;
}

/** The fields that all media share. */
export interface CommonFields {
  version: number;
  codec: string;
  modelHash: string;
  media: Media;
  grey: boolean;
}

/** Read the fields that all media share. */
export function readCommonFields(cursor: Cursor): CommonFields {
  checkMagic(cursor);
  cursor.what = "version";
  const version = cursor.uint8();
  if (version !== VERSION) {
    throw new UnsupportedVersionError(`version ${version} found, expected ${VERSION}; ${NEWER}`);
  }
  cursor.what = "codec";
  const codec = cursor.name();
  cursor.what = "model_hash";
  const modelHash = Array.from(cursor.take(4), (b) => b.toString(16).padStart(2, "0")).join("");
  cursor.what = "media";
  const flags = cursor.uint8();
  const media = MEDIA[flags & 15];
  if (!media) {
    throw new UnsupportedVersionError(
      `media ${flags & 15} found, expected ${MEDIA.join(" or ")}; ${NEWER}`,
    );
  }
  if (flags >> 5) {
    throw new CorruptError(`reserved ${flags >> 5} found, expected 0; the file is damaged`);
  }
  return { version, codec, modelHash, media, grey: Boolean((flags >> 4) & 1) };
}

/** Read the fields of a picture that follow those of all media. */
export function readHeader(cursor: Cursor, common: CommonFields): Header {
  const [width, height] = ["width", "height"].map((name) => {
    cursor.what = name;
    const value = cursor.uint16() + 1;
    if (value > 65535) {
      throw new CorruptError(`${name} ${value} found, expected 1..65535; the file is damaged`);
    }
    return value;
  });
  cursor.what = "rate";
  const rate = cursor.uint8();
  if (rate > LAST_RATE) {
    throw new CorruptError(`rate ${rate} found, expected 0..${LAST_RATE}; the file is damaged`);
  }
  return { ...common, width, height, rate, quality: Math.floor((rate * 11 + 14) / 28) + 1 };
}

function checkMagic(cursor: Cursor): void {
  const found = cursor.data.subarray(0, MAGIC.length);
  if (!found.length) throw new TruncatedError("the file is empty; fetch it again");
  if (!found.every((byte, place) => byte === MAGIC[place])) {
    const shown = (bytes: ArrayLike<number>) =>
      Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new CorruptError(
      `not a .qtl file: starts with ${shown(found)}, expected ${shown(MAGIC)}; `
      + "give one that `quantal compress` wrote",
    );
  }
  cursor.take(MAGIC.length);
}
