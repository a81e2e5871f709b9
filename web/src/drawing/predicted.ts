/** Latents of predicted frames: what a prediction leaves, on top of it. */

import { CELL, gather, PLACES } from "../core/cells.js";
import type { Span } from "../core/planes.js";
import { type Predicted, type PredictedSymbols, stillCells } from "../models/predicted.js";
import type { Field } from "../models/vectors.js";
import { BLOCK } from "../models/vectors.js";
import {
  channelsOf, cropped, emptyPlane, type FloatPlane, type Networks, wholeInWindows,
} from "../networks/plane.js";
import { CORE, reconstructed, sideFeatures } from "./context.js";
import { compensated } from "./motion.js";
import { analysed, extended } from "./transform.js";

/** How far the network that sees predictions sees, in cells. */
const LOOK_REACH = 1;
/** The last position on the rate axis. */
const HIGHEST = 63;

/** The networks of a clip. */
export interface ClipNetworks {
  /** Of the video codec, with the analysis of its picture codec. */
  video: Networks;
  picture: Networks;
}

/** Return what a unit of each latent of the analysis is to the synthesis. */
async function synthesisUnit(picture: Networks): Promise<Float32Array> {
  const gain = (await picture.run("gain", HIGHEST)).data;
  const ungain = (await picture.run("ungain", HIGHEST)).data;
  return gain.map((value, channel) => value * ungain[channel]);
}

/**
 * Return the prediction of a frame's latents.
 *
 * @param before the latents of the frame before, in units of the synthesis.
 * @param samples returns that frame, not rounded.
 */
export async function predicted(
  networks: ClipNetworks, before: FloatPlane, samples: () => Promise<FloatPlane>,
  { frame, still }: PredictedSymbols,
): Promise<FloatPlane> {
  const field: Field | undefined = frame.vectors?.field;
  if (!field || !field.values.some(Boolean)) return before;
  const { width, height } = frame;
  const moved = cropped(
    compensated(extended(await samples(), BLOCK), field),
    { start: 0, stop: height }, { start: 0, stop: width },
  );
  const found = await analysed(networks.video, moved);
  const unit = await synthesisUnit(networks.picture);
  const count = still.length;
  found.data.forEach((value, place) => {
    // What stands still keeps its latents, which no second analysis blurs.
    found.data[place] = still[place % count]
      ? before.data[place]
      : value * unit[Math.floor(place / count)];
  });
  return found;
}

/** Return the latents of a predicted frame, in units of the synthesis. */
export async function predictedLatents(
  networks: Networks, model: Predicted, symbols: PredictedSymbols, rate: number,
  prediction: FloatPlane,
): Promise<FloatPlane> {
  const { parsed, size, held } = symbols;
  const { height, width } = parsed;
  const cells = emptyPlane(model.elements.length, height, width);
  gather(prediction.data, size.rows, size.columns, model.elements, cells.data);
  const heldCells = emptyPlane(PLACES, height, width);
  heldCells.data.set(stillCells(held, size));
  const features = await wholeInWindows(
    (...parts) => networks.run("looked", rate / 4, ...parts),
    [await sideFeatures(networks, model, parsed, rate), cells, heldCells],
    { core: CORE / CELL, halo: LOOK_REACH, scale: 1 },
  );
  const beside = (span: Span) => [channelsOf(cells, span), moving(heldCells, model.elements, span)];
  const found = await reconstructed(networks, model, parsed, rate, size, features, beside);
  const gate = (await networks.run("gate", rate / 4)).data;
  const count = held.length;
  found.data.forEach((value, place) => {
    const part = held[place % count] ? 1 : gate[Math.floor(place / count)];
    found.data[place] = value + part * prediction.data[place];
  });
  return found;
}

/** Return where the elements of a step move, 0 or 1. */
function moving(held: FloatPlane, elements: Int32Array, span: Span): FloatPlane {
  const { height, width } = held;
  const size = height * width;
  const found = emptyPlane(span.stop - span.start, height, width);
  for (let e = span.start; e < span.stop; e++) {
    const from = (elements[e] % PLACES) * size;
    const to = (e - span.start) * size;
    for (let p = 0; p < size; p++) found.data[to + p] = 1 - held.data[from + p];
  }
  return found;
}
