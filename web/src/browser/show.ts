/** Showing a decoded picture in a page. */

import type { Drawn } from "../picture.js";
import { writePng } from "../png/write.js";

/** Return a picture as a PNG file. */
export async function pngOf(picture: Drawn): Promise<Blob> {
  return new Blob([await writePng(picture)], { type: "image/png" });
}

/**
 * Return an element that shows a picture.
 *
 * A picture with a profile is shown through a PNG that has it, since browsers adapt colours of
 * images, and don't for a canvas.
 */
export async function elementOf(picture: Drawn): Promise<HTMLCanvasElement | HTMLImageElement> {
  if (picture.metadata.icc) {
    const image = new Image();
    image.src = URL.createObjectURL(await pngOf(picture));
    try {
      await image.decode();
    } finally {
      URL.revokeObjectURL(image.src);
    }
    return image;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pixels = new ImageData(picture.pixels, picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  return canvas;
}
