/** Drawing pictures of `vq`: the vectors of each rung are added and drawn, coarse to fine. */

import { ceilDiv } from "../core/planes.js";
import { ABSENT, type NumberMap } from "../models/indices.js";
import { CELL_PIXELS, type VqSymbols } from "../models/vq.js";
import { emptyPlane, type FloatPlane, inWindows, type Networks, wholeInWindows } from "../networks/plane.js";
import type { Arrays } from "../weights/safetensors.js";
import type { Canvas } from "./canvas.js";

/** A window's core, in cells: half of what Python takes, since memory is scarcer. */
const CORE = 24;
/** Pixels of a position of each rung. */
const STRIDES = [32, 16, 8];

/** Draw the maps of a picture. */
export async function drawVq(
  networks: Networks, arrays: Arrays, parsed: VqSymbols, canvas: Canvas,
): Promise<void> {
  const books = parsed.books.map((book, rung) => codebook(arrays, rung, book));
  const [first, second, finest] = parsed.indices;
  const coarse = await added(networks, 0, books[0], first);
  const middle = await climbed(networks, coarse);
  const more = await added(networks, 1, books[1], second);
  for (let i = 0; i < middle.data.length; i++) middle.data[i] += more.data[i];
  const features = await refined(networks, books, parsed.depth, middle);
  // Four indices of the finest rung at each position, so that one window serves both.
  await inWindows(
    (part, indices) => {
      const map = unfolded(indices);
      return networks.run("drawn", 0, part, ...vectors(books[2], map));
    },
    [features, folded(finest)],
    {
      core: 2 * CORE,
      halo: ceilDiv(networks.reach("drawn"), STRIDES[1]),
      scale: STRIDES[1],
    },
    (part, top, left) => canvas.put(part, top, left),
  );
}

/** Entries of a codebook, float32 [entries, size]. */
interface Codebook {
  values: Float32Array;
  entries: number;
  size: number;
}

function codebook(arrays: Arrays, rung: number, book: number): Codebook {
  const name = `net.rungs.${rung}.books.${book}.codebook`;
  const [entries, size] = arrays.shape(name);
  return { values: arrays.float32(name), entries, size };
}

/** Return the vectors of indices [size, h, w], and where there are any [1, h, w]. */
function vectors({ values, size }: Codebook, map: NumberMap): [FloatPlane, FloatPlane] {
  const positions = map.height * map.width;
  const found = emptyPlane(size, map.height, map.width);
  const there = emptyPlane(1, map.height, map.width);
  for (let p = 0; p < positions; p++) {
    const index = Math.max(map.values[p], 0);
    there.data[p] = map.values[p] === ABSENT ? 0 : 1;
    for (let d = 0; d < size; d++) found.data[d * positions + p] = values[index * size + d];
  }
  return [found, there];
}

/** Return what a rung adds for its indices. */
function added(networks: Networks, rung: number, book: Codebook, map: NumberMap): Promise<FloatPlane> {
  return wholeInWindows(
    (...parts) => networks.run(`added.${rung}`, 0, ...parts), vectors(book, map),
    { core: CORE << rung, halo: 0, scale: 1 },
  );
}

/** Return the prediction of the second rung's features. */
function climbed(networks: Networks, x: FloatPlane): Promise<FloatPlane> {
  const halo = ceilDiv(networks.reach("climbed.0"), STRIDES[0]);
  return wholeInWindows(
    (part) => networks.run("climbed.0", 0, part), [x], { core: CORE, halo, scale: 2 },
  );
}

/** Return features with less quantisation noise, if the weights have a network for that. */
function refined(
  networks: Networks, books: Codebook[], depth: NumberMap, x: FloatPlane,
): Promise<FloatPlane> {
  if (!networks.has("refined")) return Promise.resolve(x);
  const deep = depth.values.reduce((sum, each) => sum + (each >= 1 ? 1 : 0), 0) / depth.values.length;
  const bits = Math.log2(books[0].entries) + 4 * Math.log2(books[1].entries) * deep;
  const halo = ceilDiv(networks.reach("refined"), STRIDES[1]);
  return wholeInWindows(
    (part) => networks.run("refined", bits / CELL_PIXELS ** 2, part), [x],
    { core: 2 * CORE, halo, scale: 1 },
  );
}

function folded(map: NumberMap): FloatPlane {
  const found = emptyPlane(4, map.height / 2, map.width / 2);
  const size = found.height * found.width;
  map.values.forEach((value, place) => {
    const [row, column] = [Math.floor(place / map.width), place % map.width];
    const channel = 2 * (row % 2) + (column % 2);
    found.data[channel * size + (row >> 1) * found.width + (column >> 1)] = value;
  });
  return found;
}

function unfolded(plane: FloatPlane): NumberMap {
  const [height, width] = [2 * plane.height, 2 * plane.width];
  const size = plane.height * plane.width;
  const values = Int32Array.from({ length: height * width }, (_, place) => {
    const [row, column] = [Math.floor(place / width), place % width];
    return plane.data[(2 * (row % 2) + (column % 2)) * size + (row >> 1) * plane.width + (column >> 1)];
  });
  return { values, height, width };
}
