/** The image part of a `vq` file: index maps in one stream, or in rows with checksums. */

import { crc16, crc32 } from "../container/crc.js";
import { Kernel } from "../core/kernel.js";
import { ceilDiv } from "../core/planes.js";
import { Reading, tooSmall } from "../core/reading.js";
import { CorruptError, ModelError, TruncatedError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { IndexPrior, type NumberMap, readMap } from "./indices.js";
import type { ParseRequest, Parsed } from "./parsed.js";

/** Pixels along a side of a cell, and rungs of the ladder of codebooks. */
export const CELL_PIXELS = 32;
export const RUNGS = 3;
/** The most cells per byte of an image part. */
const CELLS_PER_BYTE = 256;
const BANDED = 1 << 12;
const FILLED = 1 << 13;
const HEAD_BYTES = 2;
const FILLER_BYTES = 4;
const LENGTH_BYTES = 2;
const TABLE_CRC_BYTES = 4;
const BAND_CRC_BYTES = 2;

/** The maps of a picture. */
export interface VqSymbols extends Parsed {
  /** Which codebook each rung uses. */
  books: number[];
  /** The finest rung of every cell. */
  depth: NumberMap;
  /** Indices of each rung. */
  indices: NumberMap[];
}

type Maps = Omit<VqSymbols, "symbols">;

interface Head {
  books: number[];
  banded: boolean;
  /** Where the data after head and filler begin. */
  body: number;
}

export class Vq {
  private readonly kernel = new Kernel();
  private readonly depth: IndexPrior;
  private readonly rungs: IndexPrior[][] = [];

  constructor(arrays: Arrays) {
    this.depth = new IndexPrior(this.kernel, arrays, "priors.depth");
    for (let rung = 0; rung < RUNGS; rung++) {
      const books: IndexPrior[] = [];
      while (arrays.has(`priors.${rung}.${books.length}.shape`)) {
        books.push(new IndexPrior(this.kernel, arrays, `priors.${rung}.${books.length}`));
      }
      const above = rung ? this.rungs[rung - 1][0].count : 1;
      const fits = books.length > 0 && books.every(
        (book) => book.count === books[0].count && [1, above].includes(book.parents));
      if (!fits) throw new ModelError(`the contexts of rung ${rung} are damaged; fetch the weights again`);
      this.rungs.push(books);
    }
    if (this.depth.entries !== RUNGS) {
      throw new ModelError("the tables of depths are damaged; fetch the weights again");
    }
  }

  parse({ payload, width, height }: ParseRequest): VqSymbols {
    const mark = this.kernel.mark();
    try {
      const head = readHead(payload);
      const [rows, columns] = [ceilDiv(height, CELL_PIXELS), ceilDiv(width, CELL_PIXELS)];
      const least = ceilDiv(rows * columns, CELLS_PER_BYTE);
      if (payload.length < least) {
        throw tooSmall(payload.length, least, `a picture of ${rows * columns} cells`);
      }
      const maps = head.banded
        ? joined(this.readBands(payload, head, width, height, rows, columns))
        : this.readStream(head.books, payload.subarray(head.body), rows, columns);
      const books = Int32Array.from(head.books);
      const planes = [maps.depth, ...maps.indices].map((plane) => plane.values);
      return { ...maps, symbols: [books, ...planes] };
    } finally {
      this.kernel.release(mark);
    }
  }

  private readBands(
    payload: Uint8Array, head: Head, width: number, height: number, rows: number, columns: number,
  ): Maps[] {
    const { lengths, start } = readLengths(payload, head, width, height, rows);
    let place = start;
    const bands = lengths.map((length, row) => {
      const data = payload.subarray(place, place + length);
      const end = place + length + BAND_CRC_BYTES;
      const stored = payload.subarray(place + length, end);
      place = end;
      const checksum = crc16(data, crc16(Uint8Array.of(row & 255, row >> 8)));
      if (stored.length < BAND_CRC_BYTES || (stored[0] | (stored[1] << 8)) !== checksum) {
        throw new CorruptError(
          `row ${row} of cells is damaged or missing; fetch the file again, or conceal what is `
          + "lost with the Python package",
          "conceal",
        );
      }
      return this.readStream(head.books, data, 1, columns);
    });
    if (payload.length > place) {
      throw new CorruptError(
        `${payload.length - place} bytes follow the last row of the image part, where it should `
        + "end: fetch the file again",
      );
    }
    return bands;
  }

  /** Read depths, then the indices of each rung. */
  private readStream(books: number[], data: Uint8Array, rows: number, columns: number): Maps {
    const mark = this.kernel.mark();
    const reading = new Reading(this.kernel, data, { what: "the maps of this picture" });
    const everywhere = new Int32Array(rows * columns).fill(1);
    const depth = readMap(
      this.kernel, reading, this.depth, { values: everywhere, height: rows, width: columns });
    const indices: NumberMap[] = [];
    let parents: Uint8Array | undefined;
    books.forEach((book, rung) => {
      const prior = this.rungs[rung][book];
      if (!prior) {
        throw new ModelError(
          `the file needs codebook ${book} of rung ${rung}, and these weights have `
          + `${this.rungs[rung].length}; decode it with the weights that wrote it`,
        );
      }
      const deep = { ...depth, values: depth.values.map((each) => (each >= rung ? 1 : 0)) };
      const map = readMap(this.kernel, reading, prior, finer(deep, 1 << rung), parents);
      // An absent position has no finer ones.
      const classes = map.values.map((index) => prior.classes[Math.max(index, 0)]);
      parents = Uint8Array.from(finer({ ...map, values: classes }, 2).values);
      indices.push(map);
    });
    reading.finish();
    this.kernel.release(mark);
    return { books, depth, indices };
  }
}

/** Repeat every value of a map along both sides. */
export function finer({ values, height, width }: NumberMap, factor: number): NumberMap {
  const found = new Int32Array(height * width * factor ** 2);
  const wide = width * factor;
  for (let row = 0; row < height * factor; row++) {
    const from = Math.floor(row / factor) * width;
    for (let column = 0; column < wide; column++) {
      found[row * wide + column] = values[from + Math.floor(column / factor)];
    }
  }
  return { values: found, height: height * factor, width: wide };
}

/** Put the maps of rows of cells below one another. */
function joined(bands: Maps[]): Maps {
  const stacked = (maps: NumberMap[]): NumberMap => {
    const values = new Int32Array(maps.reduce((sum, map) => sum + map.values.length, 0));
    let place = 0;
    for (const map of maps) {
      values.set(map.values, place);
      place += map.values.length;
    }
    return { values, height: maps.reduce((sum, map) => sum + map.height, 0), width: maps[0].width };
  };
  const indices = bands[0].indices.map((_, rung) => stacked(bands.map((band) => band.indices[rung])));
  return { books: bands[0].books, depth: stacked(bands.map((band) => band.depth)), indices };
}

function readHead(payload: Uint8Array): Head {
  if (payload.length < HEAD_BYTES) {
    throw new TruncatedError(
      `the image part has ${payload.length} bytes, its head needs ${HEAD_BYTES}; it was cut, `
      + "fetch it again",
    );
  }
  const head = payload[0] | (payload[1] << 8);
  if (head >> 14) {
    throw new CorruptError(
      `the head of the image part is 0x${head.toString(16).padStart(4, "0")}, its upper bits must `
      + "be 0: fetch it again",
    );
  }
  let body = HEAD_BYTES;
  if (head & FILLED) {
    const zeros = body + FILLER_BYTES;
    const length = payload.subarray(body, zeros).reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
    body = zeros + length;
    if (payload.subarray(zeros, body).some(Boolean)) {
      throw new CorruptError("the filler of the image part is not zero: fetch the file again");
    }
  }
  const books = Array.from({ length: RUNGS }, (_, rung) => (head >> (4 * rung)) & 15);
  return { books, banded: Boolean(head & BANDED), body };
}

/** Return the bytes of every row's stream, and where the first begins. */
function readLengths(
  payload: Uint8Array, head: Head, width: number, height: number, rows: number,
): { lengths: number[]; start: number } {
  const crc = head.body + LENGTH_BYTES * rows;
  const start = crc + TABLE_CRC_BYTES;
  if (payload.length < start) {
    throw new TruncatedError(
      `the image part has ${payload.length} bytes, the table of its ${rows} rows needs ${start}: `
      + "without it no row can be found; fetch the file again",
    );
  }
  const table = payload.subarray(head.body, crc);
  const named = head.books.reduce((sum, book, rung) => sum + (book << (4 * rung)), 0);
  const known = new DataView(new ArrayBuffer(10));
  known.setUint32(0, width, true);
  known.setUint32(4, height, true);
  known.setUint16(8, named, true);
  const checksum = crc32(table, crc32(new Uint8Array(known.buffer)));
  if (new DataView(payload.buffer, payload.byteOffset + crc).getUint32(0, true) !== checksum) {
    throw new CorruptError(
      "the picture's size or the table of rows at the start of the image part is damaged: without "
      + "them no row can be found; fetch the file again",
    );
  }
  const lengths = Array.from({ length: rows }, (_, row) => table[2 * row] | (table[2 * row + 1] << 8));
  return { lengths, start };
}
