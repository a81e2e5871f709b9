/** Drawing pictures of `tokens`: signs to coefficients, tile by tile, then the synthesis. */

import { GROUP, INDICES, TILE, type TokenSymbols } from "../models/tokens.js";
import { STRIDE } from "../models/hyperprior.js";
import { emptyPlane, type FloatPlane, type Networks } from "../networks/plane.js";
import type { Arrays } from "../weights/safetensors.js";
import type { Canvas } from "./canvas.js";
import { drawTransform } from "./transform.js";

/** Positions along a side of a tile. */
const SIDE = TILE / STRIDE;

/** Draw the tokens of a picture. */
export async function drawTokens(
  networks: Networks, arrays: Arrays, parsed: TokenSymbols, canvas: Canvas,
): Promise<void> {
  const { rows, columns, tokens } = parsed;
  const coefficient = arrays.int32("net.coefficient");
  const amplitude = arrays.float32("net.amplitude");
  const [, channels] = arrays.shape("net.unit");
  let plane: FloatPlane | undefined;
  for (let tile = 0; tile < rows * columns; tile++) {
    const values = coefficients(parsed, tile, channels, coefficient, amplitude);
    const made = await networks.run("features", tokens, values);
    plane ??= emptyPlane(made.channels, rows * SIDE, columns * SIDE);
    const [top, left] = [Math.floor(tile / columns) * SIDE, (tile % columns) * SIDE];
    for (let c = 0; c < made.channels; c++) {
      for (let row = 0; row < SIDE; row++) {
        const part = made.data.subarray((c * SIDE + row) * SIDE, (c * SIDE + row + 1) * SIDE);
        plane.data.set(part, (c * plane.height + top + row) * plane.width + left);
      }
    }
  }
  if (plane) await drawTransform(networks, plane, canvas);
}

/** Return the coefficients of a tile: each is the sum of its signs' values. */
function coefficients(
  parsed: TokenSymbols, tile: number, channels: number, coefficient: Int32Array,
  amplitude: Float32Array,
): FloatPlane {
  const tiles = parsed.rows * parsed.columns;
  const positions = SIDE * SIDE;
  const found = emptyPlane(channels, SIDE, SIDE);
  const bits = parsed.tokens * INDICES * GROUP;
  for (let bit = 0; bit < bits; bit++) {
    const index = parsed.symbols[0][Math.floor(bit / GROUP) * tiles + tile];
    const worth = (index >> bit % GROUP) & 1 ? amplitude[bit] : -amplitude[bit];
    const [position, channel] = [Math.floor(coefficient[bit] / channels), coefficient[bit] % channels];
    found.data[channel * positions + position] += worth;
  }
  return found;
}
