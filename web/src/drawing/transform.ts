/** The synthesis of latents at 1/16, which most codecs end with. */

import { STRIDE } from "../models/hyperprior.js";
import { ceilDiv } from "../core/planes.js";
import { cropped, type FloatPlane, inWindows, type Networks } from "../networks/plane.js";
import type { Canvas } from "./canvas.js";

/** A window's core, in latents: half of what Python takes, since memory is scarcer. */
const CORE = 48;

/** Draw latents; those beyond the picture are cut off first, since they would be seen. */
export async function drawTransform(
  networks: Networks, latents: FloatPlane, canvas: Canvas,
): Promise<void> {
  const y = cropped(
    latents,
    { start: 0, stop: ceilDiv(canvas.height, STRIDE) },
    { start: 0, stop: ceilDiv(canvas.width, STRIDE) },
  );
  const halo = ceilDiv(networks.reach("synthesis"), STRIDE);
  await inWindows(
    (part) => networks.run("synthesis", 0, part), [y], { core: CORE, halo, scale: STRIDE },
    (part, top, left) => canvas.put(part, top, left),
  );
}
