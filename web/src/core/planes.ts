/** Whole multiples, and bands of rows. */

export function ceilDiv(value: number, unit: number): number {
  return Math.ceil(value / unit);
}

/** A run of rows or of columns. */
export interface Span {
  start: number;
  stop: number;
}

/**
 * Cut the rows of a plane into bands of about `positions` positions.
 *
 * @param unit bands start at multiples of this many rows.
 */
export function bands(height: number, width: number, positions: number, unit: number): Span[] {
  const rows = Math.max(Math.floor(Math.floor(positions / width) / unit), 1) * unit;
  return Array.from({ length: ceilDiv(height, rows) }, (_, band) => ({
    start: band * rows,
    stop: Math.min((band + 1) * rows, height),
  }));
}
