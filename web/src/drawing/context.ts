/** Drawing pictures of `context-*`: means step by step, then the synthesis. */

import { CELL, PLACES } from "../core/cells.js";
import { type Context, type ContextSymbols, Z_CELLS } from "../models/context.js";
import {
  channelsOf, cropped, emptyPlane, type FloatPlane, type Networks, wholeInWindows,
} from "../networks/plane.js";
import type { Canvas } from "./canvas.js";
import { drawTransform } from "./transform.js";

/** A window's core in latents, and how far the network of means sees, in cells. */
const CORE = 96;
const MEAN_REACH = 2;

/** Draw the symbols of a picture at a position on the rate axis. */
export async function drawContext(
  networks: Networks, model: Context, parsed: ContextSymbols, rate: number, canvas: Canvas,
): Promise<void> {
  const cells = await latents(networks, model, parsed, rate);
  await drawTransform(networks, scattered(cells, model.elements), canvas);
}

/** Return the latents as cells in coding order. */
async function latents(
  networks: Networks, model: Context, parsed: ContextSymbols, rate: number,
): Promise<FloatPlane> {
  const { height, width, z } = parsed;
  const z_hat = {
    data: model.side.dequantised(z, rate >> 2),
    channels: model.side.channels, height: z.rows, width: z.columns,
  };
  const position = rate / 4;
  const features = cropped(
    await wholeInWindows(
      (part) => networks.run("features", position, part), [z_hat],
      { core: CORE / CELL / Z_CELLS, halo: 0, scale: Z_CELLS },
    ),
    { start: 0, stop: height }, { start: 0, stop: width },
  );
  const gain = (await networks.run("gain", position)).data;
  const ungain = (await networks.run("ungain", position)).data;
  const lean = (await networks.run("lean", 0)).data;
  const known = emptyPlane(parsed.cells.length / (height * width), height, width);
  const size = height * width;
  for (const [step, span] of model.spans.entries()) {
    const before = channelsOf(known, { start: 0, stop: span.start });
    const mean = await wholeInWindows(
      (...parts) => networks.run(`mean.${step}`, position, ...parts), [features, before],
      { core: CORE / CELL, halo: MEAN_REACH, scale: 1 },
    );
    for (let e = span.start; e < span.stop; e++) {
      const channel = model.elements[e] >> 2;
      const [up, down] = [gain[channel], ungain[channel]];
      for (let p = 0; p < size; p++) {
        const place = e * size + p;
        const symbol = parsed.cells[place];
        // Nearer to zero than the middle of a symbol's cell: values there are likelier.
        const value = symbol - Math.sign(symbol) * lean[parsed.index[place]];
        known.data[place] = (value + mean.data[place - span.start * size] * up) * down;
      }
    }
  }
  return known;
}

/** Return cells in coding order as latents; the last ones may reach beyond the picture. */
function scattered(cells: FloatPlane, elements: Int32Array): FloatPlane {
  const { height, width } = cells;
  const found = emptyPlane(elements.length / PLACES, CELL * height, CELL * width);
  elements.forEach((element, e) => {
    const [channel, place] = [element >> 2, element % PLACES];
    const [down, across] = [place >> 1, place % CELL];
    for (let row = 0; row < height; row++) {
      const from = (e * height + row) * width;
      const to = (channel * found.height + CELL * row + down) * found.width + across;
      for (let column = 0; column < width; column++) {
        found.data[to + CELL * column] = cells.data[from + column];
      }
    }
  });
  return found;
}
