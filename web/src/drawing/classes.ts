/** Drawing pictures of `wavelet`: a multiplier for each channel, then the synthesis. */

import type { Classes, ClassSymbols } from "../models/classes.js";
import { emptyPlane, type Networks } from "../networks/plane.js";
import type { Canvas } from "./canvas.js";
import { drawTransform } from "./transform.js";

/** Draw the symbols of a picture at a position on the rate axis. */
export async function drawClasses(
  networks: Networks, model: Classes, parsed: ClassSymbols, rate: number, canvas: Canvas,
): Promise<void> {
  const { rows, columns, index } = parsed;
  const ungain = (await networks.run("ungain", rate / 4)).data;
  const lean = (await networks.run("lean", 0)).data;
  const symbols = model.summed(parsed);
  const y = emptyPlane(model.channels, rows, columns);
  const size = rows * columns;
  for (let c = 0; c < model.channels; c++) {
    const slow = model.slow.includes(c);
    for (let place = c * size; place < (c + 1) * size; place++) {
      const symbol = symbols[place];
      // Nearer to zero than the middle of a symbol's cell; a sum of differences stays as it is.
      const value = slow ? symbol : symbol - Math.sign(symbol) * lean[index[place]];
      y.data[place] = value * ungain[c];
    }
  }
  await drawTransform(networks, y, canvas);
}
