/** Drawing pictures of `hyperprior`: means from z, then the synthesis. */

import { bands, ceilDiv } from "../core/planes.js";
import { BAND_POSITIONS, type Hyperprior, type HyperpriorSymbols, Z_STRIDE } from "../models/hyperprior.js";
import { cropped, emptyPlane, type Networks, wholeInWindows } from "../networks/plane.js";
import type { Canvas } from "./canvas.js";
import { drawTransform } from "./transform.js";

/** A window's core in elements of z, and how far the network of means sees. */
const CORE = 48;
const MEAN_REACH = 3;

/** Draw the symbols of a picture at a position on the rate axis. */
export async function drawHyperprior(
  networks: Networks, model: Hyperprior, parsed: HyperpriorSymbols, rate: number, canvas: Canvas,
): Promise<void> {
  const { z, rows, columns } = parsed;
  const z_hat = {
    data: model.side.dequantised(z, rate >> 2),
    channels: model.side.channels, height: z.rows, width: z.columns,
  };
  const position = rate / 4;
  const gain = (await networks.run("gain", position)).data;
  const ungain = (await networks.run("ungain", position)).data;
  const y = emptyPlane(model.channels, rows, columns);
  for (const band of bands(rows, columns, BAND_POSITIONS, Z_STRIDE)) {
    const low = Math.max(band.start / Z_STRIDE - MEAN_REACH, 0);
    const high = Math.min(ceilDiv(band.stop, Z_STRIDE) + MEAN_REACH, z.rows);
    const around = cropped(z_hat, { start: low, stop: high }, { start: 0, stop: z.columns });
    const mean = await wholeInWindows(
      (part) => networks.run("mean", position, part), [around],
      { core: CORE, halo: MEAN_REACH, scale: Z_STRIDE },
    );
    for (let c = 0; c < model.channels; c++) {
      for (let row = band.start; row < band.stop; row++) {
        const from = (c * mean.height + row - low * Z_STRIDE) * mean.width;
        const to = (c * rows + row) * columns;
        for (let column = 0; column < columns; column++) {
          const value = parsed.y[to + column] + mean.data[from + column] * gain[c];
          y.data[to + column] = value * ungain[c];
        }
      }
    }
  }
  await drawTransform(networks, y, canvas);
}
