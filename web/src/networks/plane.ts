/** Planes of floats, and networks applied to them window by window. */

import type { Span } from "../core/planes.js";

/** float32 [channels, height, width]. */
export interface FloatPlane {
  data: Float32Array;
  channels: number;
  height: number;
  width: number;
}

/** The floating-point networks of a codec, by name. */
export interface Networks {
  /**
   * Run a network.
   *
   * @param rate what it follows; for most a position on the rate axis, 0..63.
   */
  run(name: string, rate: number, ...inputs: FloatPlane[]): Promise<FloatPlane>;
  /** How far a network's results depend on their surroundings, in pixels. */
  reach(name: string): number;
  has(name: string): boolean;
}

export function emptyPlane(channels: number, height: number, width: number): FloatPlane {
  return { data: new Float32Array(channels * height * width), channels, height, width };
}

/** Return some channels of a plane, a view. */
export function channelsOf(plane: FloatPlane, span: Span): FloatPlane {
  const size = plane.height * plane.width;
  const data = plane.data.subarray(span.start * size, span.stop * size);
  return { ...plane, data, channels: span.stop - span.start };
}

/** Return a rectangle of a plane; the plane itself if that is all of it. */
export function cropped(plane: FloatPlane, rows: Span, columns: Span): FloatPlane {
  const [height, width] = [rows.stop - rows.start, columns.stop - columns.start];
  if (height === plane.height && width === plane.width) return plane;
  const found = emptyPlane(plane.channels, height, width);
  for (let c = 0; c < plane.channels; c++) {
    for (let row = 0; row < height; row++) {
      const from = (c * plane.height + rows.start + row) * plane.width + columns.start;
      found.data.set(plane.data.subarray(from, from + width), (c * height + row) * width);
    }
  }
  return found;
}

interface Window {
  /** With its surroundings, on the axis. */
  outer: Span;
  /** Without them, on the axis. */
  core: Span;
}

function windows(length: number, core: number, halo: number): Window[] {
  const found: Window[] = [];
  for (let start = 0; start < length; start += core) {
    const stop = Math.min(start + core, length);
    const outer = { start: Math.max(start - halo, 0), stop: Math.min(stop + halo, length) };
    found.push({ outer, core: { start, stop } });
  }
  return found;
}

/** How a plane is cut. */
export interface Cut {
  /** Positions of a window along each axis, without its surroundings. */
  core: number;
  /** Positions around it that the network sees as well. */
  halo: number;
  /** Positions of the result for one of the plane. */
  scale: number;
}

/**
 * Apply a network window by window, so that memory is bounded.
 *
 * @param network maps windows of all planes to one of the result.
 * @param planes of one size.
 * @param take is called with the core of each window's result, and where it belongs.
 */
export async function inWindows(
  network: (...parts: FloatPlane[]) => Promise<FloatPlane>,
  planes: FloatPlane[],
  { core, halo, scale }: Cut,
  take: (part: FloatPlane, top: number, left: number) => void,
): Promise<void> {
  const { height, width } = planes[0];
  for (const rows of windows(height, core, halo)) {
    for (const columns of windows(width, core, halo)) {
      const parts = planes.map((plane) => cropped(plane, rows.outer, columns.outer));
      const made = await network(...parts);
      const inside = (window: Window) => ({
        start: (window.core.start - window.outer.start) * scale,
        stop: (window.core.stop - window.outer.start) * scale,
      });
      const part = cropped(made, inside(rows), inside(columns));
      take(part, rows.core.start * scale, columns.core.start * scale);
    }
  }
}

/** Do the same, and return the whole result. */
export async function wholeInWindows(
  network: (...parts: FloatPlane[]) => Promise<FloatPlane>, planes: FloatPlane[], cut: Cut,
): Promise<FloatPlane> {
  let whole: FloatPlane | undefined;
  const [height, width] = [planes[0].height * cut.scale, planes[0].width * cut.scale];
  await inWindows(network, planes, cut, (part, top, left) => {
    if (part.height === height && part.width === width) {
      whole = part;
      return;
    }
    whole ??= emptyPlane(part.channels, height, width);
    for (let c = 0; c < part.channels; c++) {
      for (let row = 0; row < part.height; row++) {
        const from = (c * part.height + row) * part.width;
        const to = (c * height + top + row) * width + left;
        whole.data.set(part.data.subarray(from, from + part.width), to);
      }
    }
  });
  return whole ?? emptyPlane(0, height, width);
}
