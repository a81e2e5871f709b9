/** Reading the opacity of a picture: a greyscale PNG of 8 bits or 1 bit, as `.qtl` files hold. */

import { CorruptError, UnsupportedError } from "../errors.js";
import { through } from "../streams.js";
import { paeth, SIGNATURE } from "./chunks.js";

const DAMAGED = "the opacity of the picture is damaged; fetch the file again";

/** Return the samples of a greyscale PNG that has to have a size. */
export async function readGreyPng(data: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const { depth, compressed } = readChunks(data, width, height);
  const stride = Math.ceil((width * depth) / 8);
  const size = height * (stride + 1);
  const lines = await inflated(compressed, size);
  if (lines.length !== size) throw new CorruptError(DAMAGED);
  const found = new Uint8Array(width * height);
  let above: Uint8Array = new Uint8Array(stride);
  for (let row = 0; row < height; row++) {
    const start = row * (stride + 1);
    const line = lines.subarray(start + 1, start + 1 + stride);
    unfilter(lines[start], line, above);
    for (let column = 0; column < width; column++) {
      found[row * width + column] = depth === 8
        ? line[column]
        : ((line[column >> 3] >> (7 - (column & 7))) & 1) * 255;
    }
    above = line;
  }
  return found;
}

async function inflated(data: Uint8Array, limit: number): Promise<Uint8Array> {
  try {
    return await through(data, new DecompressionStream("deflate"), limit);
  } catch (error) {
    throw error instanceof CorruptError ? error : new CorruptError(DAMAGED);
  }
}

function readChunks(
  data: Uint8Array, width: number, height: number,
): { depth: number; compressed: Uint8Array } {
  if (!SIGNATURE.every((byte, place) => data[place] === byte)) throw new CorruptError(DAMAGED);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const parts: Uint8Array[] = [];
  let depth = 0;
  for (let place = SIGNATURE.length; place + 12 <= data.length; ) {
    const length = view.getUint32(place);
    const end = place + 8 + length;
    if (end + 4 > data.length) throw new CorruptError(DAMAGED);
    const kind = String.fromCharCode(...data.subarray(place + 4, place + 8));
    const content = data.subarray(place + 8, end);
    if (kind === "IHDR" && length === 13) {
      const [wide, high] = [view.getUint32(place + 8), view.getUint32(place + 12)];
      const [bits, colour, , , interlace] = content.subarray(8);
      if (wide !== width || high !== height) throw new CorruptError(DAMAGED);
      if (colour !== 0 || (bits !== 8 && bits !== 1) || interlace !== 0) {
        throw new UnsupportedError(
          "the opacity is not a plain greyscale PNG of 8 bits or 1 bit; open the file with the "
          + "Python package",
        );
      }
      depth = bits;
    }
    if (kind === "IDAT") parts.push(content);
    place = end + 4;
  }
  if (!depth) throw new CorruptError(DAMAGED);
  const compressed = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    compressed.set(part, filled);
    filled += part.length;
  }
  return { depth, compressed };
}

/** Undo the filter of a line of bytes, in place. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array): void {
  if (filter > 4) throw new CorruptError(DAMAGED);
  for (let i = 0; i < line.length; i++) {
    const left = i ? line[i - 1] : 0;
    const up = above[i];
    const corner = i ? above[i - 1] : 0;
    const predicted = [0, left, up, (left + up) >> 1, filter === 4 ? paeth(left, up, corner) : 0];
    line[i] += predicted[filter];
  }
}
