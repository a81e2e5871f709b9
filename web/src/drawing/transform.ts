/** The transforms between latents at 1/16 and samples, which most codecs have. */

import { ceilDiv } from "../core/planes.js";
import { STRIDE } from "../models/hyperprior.js";
import { cropped, type FloatPlane, inWindows, type Networks, wholeInWindows } from "../networks/plane.js";
import type { Canvas } from "./canvas.js";

/** A window's core, in latents: half of what Python takes, since memory is scarcer. */
const CORE = 48;

/** Return latents without those that lie beyond a picture, which its samples would depend on. */
function within(latents: FloatPlane, width: number, height: number): FloatPlane {
  return cropped(
    latents,
    { start: 0, stop: ceilDiv(height, STRIDE) },
    { start: 0, stop: ceilDiv(width, STRIDE) },
  );
}

/** Draw latents. */
export async function drawTransform(
  networks: Networks, latents: FloatPlane, canvas: Canvas,
): Promise<void> {
  const halo = ceilDiv(networks.reach("synthesis"), STRIDE);
  await inWindows(
    (part) => networks.run("synthesis", 0, part), [within(latents, canvas.width, canvas.height)],
    { core: CORE, halo, scale: STRIDE },
    (part, top, left) => canvas.put(part, top, left),
  );
}

/** Return the samples of latents, not rounded: float32 [3, height, width] in 0..255. */
export async function samplesOf(
  networks: Networks, latents: FloatPlane, width: number, height: number,
): Promise<FloatPlane> {
  const halo = ceilDiv(networks.reach("synthesis"), STRIDE);
  const whole = await wholeInWindows(
    (part) => networks.run("synthesis", 0, part), [within(latents, width, height)],
    { core: CORE, halo, scale: STRIDE },
  );
  const found = cropped(whole, { start: 0, stop: height }, { start: 0, stop: width });
  const data = found.data.map((sample) => Math.min(Math.max(sample, 0), 255));
  return { ...found, data };
}

/** Return the latents of samples, which continue with their edge to whole latents. */
export async function analysed(networks: Networks, samples: FloatPlane): Promise<FloatPlane> {
  const halo = ceilDiv(networks.reach("analysis"), STRIDE) * STRIDE;
  return wholeInWindows(
    (part) => networks.run("analysis", 0, part), [extended(samples, STRIDE)],
    { core: CORE * STRIDE, halo, scale: 1 / STRIDE },
  );
}

/** Return a plane that continues with its edge to whole multiples. */
export function extended(plane: FloatPlane, multiple: number): FloatPlane {
  const height = ceilDiv(plane.height, multiple) * multiple;
  const width = ceilDiv(plane.width, multiple) * multiple;
  if (height === plane.height && width === plane.width) return plane;
  const data = new Float32Array(plane.channels * height * width);
  for (let c = 0; c < plane.channels; c++) {
    for (let row = 0; row < height; row++) {
      const from = (c * plane.height + Math.min(row, plane.height - 1)) * plane.width;
      const to = (c * height + row) * width;
      data.set(plane.data.subarray(from, from + plane.width), to);
      data.fill(plane.data[from + plane.width - 1], to + plane.width, to + width);
    }
  }
  return { data, channels: plane.channels, height, width };
}
