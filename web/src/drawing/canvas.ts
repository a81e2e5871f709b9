/** Drawn samples as the pixels of a picture. */

import type { FloatPlane } from "../networks/plane.js";

/** Samples of a picture while windows of it arrive: RGBA, rows from the top. */
export class Canvas {
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;

  constructor(readonly width: number, readonly height: number) {
    this.pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  }

  /** Put samples [3, h, w] in 0..255; what lies beyond the picture is cut off. */
  put(samples: FloatPlane, top: number, left: number): void {
    const size = samples.height * samples.width;
    const rows = Math.min(samples.height, this.height - top);
    const columns = Math.min(samples.width, this.width - left);
    for (let row = 0; row < rows; row++) {
      const from = row * samples.width;
      const to = 4 * ((top + row) * this.width + left);
      for (let c = 0; c < 3; c++) {
        const plane = samples.data.subarray(c * size + from, c * size + from + columns);
        // This type of array rounds to the nearest, halves to even, as Python does.
        for (let column = 0; column < columns; column++) this.pixels[to + 4 * column + c] = plane[column];
      }
    }
  }

  /** Make a picture without colour of one with equal channels. */
  grey(): void {
    const { pixels } = this;
    for (let i = 0; i < pixels.length; i += 4) {
      const sum = 299 * pixels[i] + 587 * pixels[i + 1] + 114 * pixels[i + 2] + 500;
      pixels.fill(Math.floor(sum / 1000), i, i + 3);
    }
  }

  /** Set the opacity of every pixel. */
  opacity(alpha: Uint8Array): void {
    for (let i = 0; i < alpha.length; i++) this.pixels[4 * i + 3] = alpha[i];
  }
}
