/** A .qtl file of a picture: header, directory, parts and checksums. */

import { BitstreamError, CorruptError, TruncatedError, UnsupportedVersionError } from "../errors.js";
import { crc32 } from "./crc.js";
import { Cursor } from "./cursor.js";
import { type Header, type Media, readCommonFields, readHeader } from "./header.js";

const KINDS = ["", "image", "alpha", "icc", "exif", "xmp"] as const;
const CHECKSUM_BYTES = 4;
const HELD: Record<Media, string> = { picture: "a picture", video: "a clip", features: "features" };

export type PartKind = Exclude<(typeof KINDS)[number], "">;

/** Where a part of a file is. */
export interface PartInfo {
  kind: PartKind;
  /** Of its first byte. */
  offset: number;
  /** Its length, without its checksum. */
  bytes: number;
}

/** Header and directory of a file. */
export interface FileInfo {
  header: Header;
  /** Length of header and directory. */
  headerBytes: number;
  parts: PartInfo[];
  /** Size of the file. */
  bytes: number;
}

/** A file whose checksums are verified. */
export interface PictureFile {
  info: FileInfo;
  /** Bytes that are missing at the end of the image part; only of a file that may be cut. */
  missing: number;
  parts: ReadonlyMap<PartKind, Uint8Array>;
}

/** Return what a file holds, by its first bytes. */
export function mediaOf(data: Uint8Array): Media {
  return readCommonFields(new Cursor(data)).media;
}

/**
 * Read header and directory of a picture. Checksums are not verified; readFile() does that.
 *
 * @param data the bytes of the file.
 * @param cut whether it may end too early.
 */
export function probe(data: Uint8Array, cut = false): FileInfo {
  const cursor = new Cursor(data);
  const common = readCommonFields(cursor);
  if (common.media !== "picture") {
    throw new BitstreamError(
      `the file holds ${HELD[common.media]}, expected a picture; open it with the Python package`,
      "media",
    );
  }
  const header = readHeader(cursor, common);
  const lengths = readDirectory(cursor);
  const parts: PartInfo[] = [];
  let position = cursor.position;
  for (const [kind, bytes] of lengths) {
    parts.push({ kind, offset: position, bytes });
    position += bytes + CHECKSUM_BYTES;
  }
  const size = data.length;
  if (position > size && !cut) {
    throw new TruncatedError(
      `the file has ${size} bytes, its header announces ${position}; it was cut, fetch it again`,
    );
  }
  if (position < size) {
    throw new CorruptError(
      `the file has ${size} bytes, its header announces ${position}; `
      + `${size - position} trailing bytes belong to nothing`,
    );
  }
  return { header, headerBytes: cursor.position, parts, bytes: size };
}

/**
 * Read a file and verify its structure and all checksums.
 *
 * @param data the bytes of the file.
 * @param cut whether it may end too early: its image part may then be shorter and is not verified,
 *   other incomplete parts are left out.
 */
export function readFile(data: Uint8Array, cut = false): PictureFile {
  const info = probe(data, cut);
  const head = data.subarray(0, info.headerBytes);
  const parts = new Map<PartKind, Uint8Array>();
  let missing = 0;
  for (const part of info.parts) {
    const end = part.offset + part.bytes;
    const content = data.subarray(part.offset, end);
    if (end + CHECKSUM_BYTES <= data.length) {
      checkPart(part, content, head, data.subarray(end, end + CHECKSUM_BYTES));
    } else if (part.kind === "image") {
      missing = part.bytes - content.length;
    } else {
      continue;
    }
    parts.set(part.kind, content);
  }
  return { info, missing, parts };
}

function checkPart(part: PartInfo, content: Uint8Array, head: Uint8Array, stored: Uint8Array): void {
  const expected = crc32(content, crc32(head));
  const found = new DataView(stored.buffer, stored.byteOffset).getUint32(0, true);
  if (found !== expected) {
    const [shown, wanted] = [found, expected].map((sum) => sum.toString(16).padStart(8, "0"));
    throw new CorruptError(
      `the ${part.kind} part has the checksum ${shown}, expected ${wanted}; it or the header is `
      + "damaged, fetch the file again",
    );
  }
}

function readDirectory(cursor: Cursor): [PartKind, number][] {
  cursor.what = "directory";
  const lengths: [PartKind, number][] = [];
  for (let last = 0, more = true; more; ) {
    const byte = cursor.uint8();
    const code = byte & 0x7f;
    more = byte >= 0x80;
    if (code <= last || (!lengths.length && code !== 1)) {
      throw new CorruptError(
        `part kind ${code} found after ${last} in the directory, expected the image part first `
        + "and rising kinds; the file is damaged",
      );
    }
    const kind = KINDS[code];
    if (!kind) {
      throw new UnsupportedVersionError(
        `part kind ${code} found, expected 1..${KINDS.length - 1}; the file needs a newer reader: `
        + "update this one",
      );
    }
    lengths.push([kind, cursor.varint()]);
    last = code;
  }
  return lengths;
}
