/** A .qtl file of a clip: header, chunks and groups; docs/reference/format.md specifies them. */

import { BitstreamError, CorruptError, TruncatedError, UnsupportedVersionError } from "../errors.js";
import { crc32 } from "./crc.js";
import { Cursor } from "./cursor.js";
import { type Header, readCommonFields, readHeader } from "./header.js";

const KINDS = ["", "track", "about", "packets", "group", "end"] as const;
const CHECKSUM_BYTES = 4;
const MOST_FRAMES = 4096;
const LAST_RATE = 252;

type ChunkKind = Exclude<(typeof KINDS)[number], "">;

/** The header of a clip. */
export interface ClipHeader extends Header {
  /** Seconds of a tick, in which times of frames are counted. */
  timeBase: number;
  /** Frames per second on average; 0 if it is not known. */
  frameRate: number;
  /** Width of a pixel by its height. */
  sampleAspect: number;
}

/** Where a group of pictures is. */
export interface GroupInfo {
  offset: number;
  bytes: number;
  /** The number of its first frame, its time in ticks, and how many frames it has. */
  frame: number;
  time: number;
  count: number;
}

/** What is known of a clip without reading its frames. */
export interface ClipInfo {
  header: ClipHeader;
  headerBytes: number;
  groups: GroupInfo[];
  frames: number;
  /** Bytes of sound and all else that lies beside the pictures. */
  besideBytes: number;
  bytes: number;
  /** Whether the file ends before its index: what is whole is listed. */
  cut: boolean;
}

/** One frame, not decoded. */
export interface CodedFrame {
  rate: number;
  payload: Uint8Array;
}

interface Chunk {
  kind: ChunkKind;
  offset: number;
  /** Of its content. */
  start: number;
  length: number;
  /** Behind its checksum. */
  end: number;
}

export class ClipFile {
  readonly info: ClipInfo;
  private readonly seed: number;

  /** Read the header and the heads of all chunks. */
  constructor(private readonly data: Uint8Array) {
    const cursor = new Cursor(data);
    const common = readCommonFields(cursor);
    if (common.media !== "video") throw new BitstreamError("the file holds no clip");
    const header = readClipHeader(cursor, readHeader(cursor, common));
    const end = cursor.position;
    cursor.what = "checksum of the header";
    const stored = uint32(cursor.take(CHECKSUM_BYTES));
    this.seed = crc32(data.subarray(0, end));
    if (stored !== this.seed) {
      throw new CorruptError("the header does not fit its checksum; fetch the file again");
    }
    this.info = this.scan(header, cursor.position);
  }

  private scan(header: ClipHeader, headerBytes: number): ClipInfo {
    const groups: GroupInfo[] = [];
    let [frames, besideBytes, cut] = [0, 0, true];
    for (const chunk of this.chunks(headerBytes)) {
      if (chunk.kind === "end") {
        cut = false;
        break;
      }
      if (chunk.kind !== "group") {
        besideBytes += chunk.end - chunk.offset;
        continue;
      }
      const content = new Cursor(this.data.subarray(chunk.start, chunk.start + chunk.length));
      const head = readGroupHead(content);
      if (head.frame !== frames) {
        throw new CorruptError(
          `a group of frame ${head.frame} found, expected frame ${frames}; groups were lost, fetch `
          + "the file again",
        );
      }
      frames += head.count;
      groups.push({ ...head, offset: chunk.offset, bytes: chunk.end - chunk.offset });
    }
    return { header, headerBytes, groups, frames, besideBytes, bytes: this.data.length, cut };
  }

  /** Yield the chunks that are whole. */
  private *chunks(first: number): Generator<Chunk> {
    for (let offset = first; offset < this.data.length; ) {
      const chunk = this.chunkAt(offset);
      if (!chunk || chunk.end > this.data.length) return; // the file was cut
      yield chunk;
      offset = chunk.end;
    }
  }

  private chunkAt(offset: number): Chunk | undefined {
    const cursor = new Cursor(this.data.subarray(offset, offset + 6));
    cursor.what = "head of a chunk";
    try {
      const code = cursor.uint8();
      const length = cursor.varint();
      const kind = KINDS[code];
      if (!kind) {
        throw new UnsupportedVersionError(
          `chunk kind ${code} found, expected 1..${KINDS.length - 1}; the file needs a newer `
          + "reader: update this one",
        );
      }
      const start = offset + cursor.position;
      return { kind, offset, start, length, end: start + length + CHECKSUM_BYTES };
    } catch (error) {
      if (error instanceof TruncatedError) return undefined;
      throw error;
    }
  }

  /** Return the frames of a group, whose checksum is verified. */
  frames(group: GroupInfo): CodedFrame[] {
    const chunk = this.chunkAt(group.offset);
    if (!chunk || chunk.end > this.data.length) throw new TruncatedError("the group was cut");
    const content = this.data.subarray(chunk.start, chunk.start + chunk.length);
    const found = crc32(this.data.subarray(chunk.offset, chunk.start + chunk.length), this.seed);
    if (found !== uint32(this.data.subarray(chunk.end - CHECKSUM_BYTES, chunk.end))) {
      throw new CorruptError(
        `the group at ${chunk.offset} does not fit its checksum; it or the header is damaged, fetch `
        + "the file again",
      );
    }
    return readFrames(new Cursor(content));
  }
}

function uint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** Read a positive fraction; 0/1 says that it is not known, where that is allowed. */
function fraction(cursor: Cursor, optional: boolean): number {
  const [above, below] = [cursor.varint(31), cursor.varint(31)];
  if (optional && above === 0 && below === 1) return 0;
  let [a, b] = [above, below];
  while (b) [a, b] = [b, a % b];
  if (!above || !below || a !== 1) {
    throw new CorruptError(
      `the ${cursor.what} is ${above}/${below}, expected a positive fraction in its lowest terms`,
    );
  }
  return above / below;
}

function readClipHeader(cursor: Cursor, header: Header): ClipHeader {
  if (header.grey) throw new CorruptError("grey true found, expected false; the file is damaged");
  cursor.what = "time_base";
  const timeBase = fraction(cursor, false);
  cursor.what = "frame_rate";
  const frameRate = fraction(cursor, true);
  cursor.what = "sample_aspect";
  const sampleAspect = fraction(cursor, false);
  cursor.what = "colours of the source";
  const flags = cursor.take(4)[3];
  if ((flags & 3) === 3 || flags >> 2) {
    throw new CorruptError(`range ${flags} found, expected 0..2; the file is damaged`);
  }
  return { ...header, timeBase, frameRate, sampleAspect };
}

/** Read a whole number with sign. */
function signed(cursor: Cursor): number {
  const value = cursor.varint(64);
  return value % 2 ? -(value + 1) / 2 : value / 2;
}

function readGroupHead(cursor: Cursor): Pick<GroupInfo, "frame" | "time" | "count"> {
  cursor.what = "head of a group";
  const [frame, time, count] = [cursor.varint(), signed(cursor), cursor.varint()];
  const left = cursor.data.length - cursor.position;
  if (count < 1 || count > MOST_FRAMES || 2 * count > left) {
    throw new CorruptError(`a group says ${count} frames, its ${left} bytes justify fewer`);
  }
  return { frame, time, count };
}

function readFrames(cursor: Cursor): CodedFrame[] {
  const { count } = readGroupHead(cursor);
  cursor.what = "group";
  // Durations, in runs: this reader shows frames one by one, and needs no times.
  for (let known = 0; known < count; ) {
    const [run, duration] = [cursor.varint(), cursor.varint(63)];
    if (run < 1 || run > count - known || !duration) {
      throw new CorruptError(`a run of ${run} frames of ${duration} ticks fits no group`);
    }
    known += run;
  }
  const rates = [...cursor.take(count)];
  const wrong = rates.find((rate) => rate > LAST_RATE);
  if (wrong !== undefined) throw new CorruptError(`rate ${wrong} found, expected 0..${LAST_RATE}`);
  const lengths = rates.map(() => cursor.varint());
  const frames = rates.map((rate, i) => ({ rate, payload: cursor.take(lengths[i]) }));
  if (cursor.position !== cursor.data.length) {
    throw new CorruptError("a group goes on behind its last frame; the file is damaged");
  }
  return frames;
}
