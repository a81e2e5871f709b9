/** Latents of `context-*`: means step by step, then symbols on top of them. */

import { CELL, scatter } from "../core/cells.js";
import { type Span, ceilDiv } from "../core/planes.js";
import { type Context, type ContextSymbols, type Size, Z_CELLS } from "../models/context.js";
import { STRIDE } from "../models/hyperprior.js";
import {
  channelsOf, cropped, emptyPlane, type FloatPlane, type Networks, wholeInWindows,
} from "../networks/plane.js";
import type { Canvas } from "./canvas.js";
import { drawTransform } from "./transform.js";

/** A window's core in latents, and how far the network of means sees, in cells. */
export const CORE = 96;
const MEAN_REACH = 2;

/** Draw the symbols of a picture. */
export async function drawContext(
  networks: Networks, model: Context, parsed: ContextSymbols, rate: number, canvas: Canvas,
): Promise<void> {
  const size = { rows: ceilDiv(canvas.height, STRIDE), columns: ceilDiv(canvas.width, STRIDE) };
  await drawTransform(networks, await contextLatents(networks, model, parsed, rate, size), canvas);
}

/** Return the latents that symbols stand for. */
export async function contextLatents(
  networks: Networks, model: Context, parsed: ContextSymbols, rate: number, size: Size,
): Promise<FloatPlane> {
  const features = await sideFeatures(networks, model, parsed, rate);
  return reconstructed(networks, model, parsed, rate, size, features, () => []);
}

/** Return the features of z that the means of all steps share, at the cells. */
export async function sideFeatures(
  networks: Networks, model: Context, { z, height, width }: ContextSymbols, rate: number,
): Promise<FloatPlane> {
  const z_hat = {
    data: model.side.dequantised(z, rate >> 2),
    channels: model.side.channels, height: z.rows, width: z.columns,
  };
  const features = await wholeInWindows(
    (part) => networks.run("features", rate / 4, part), [z_hat],
    { core: CORE / CELL / Z_CELLS, halo: 0, scale: Z_CELLS },
  );
  return cropped(features, { start: 0, stop: height }, { start: 0, stop: width });
}

/**
 * Return latents [channels, rows, columns] step by step.
 *
 * @param beside returns what networks of means take beside features and earlier latents.
 */
export async function reconstructed(
  networks: Networks, model: Context, parsed: ContextSymbols, rate: number,
  { rows, columns }: Size, features: FloatPlane, beside: (span: Span) => FloatPlane[],
): Promise<FloatPlane> {
  const { height, width } = parsed;
  const position = rate / 4;
  const gain = (await networks.run("gain", position)).data;
  const ungain = (await networks.run("ungain", position)).data;
  const lean = (await networks.run("lean", 0)).data;
  const known = emptyPlane(model.elements.length, height, width);
  const size = height * width;
  for (const [step, span] of model.spans.entries()) {
    const before = channelsOf(known, { start: 0, stop: span.start });
    const mean = await wholeInWindows(
      (...parts) => networks.run(`mean.${step}`, position, ...parts),
      [features, before, ...beside(span)],
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
  const found = emptyPlane(model.channels, rows, columns);
  scatter(known.data, model.elements, rows, columns, found.data);
  return found;
}
