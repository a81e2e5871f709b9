/** Latents as cells of 2x2 places in coding order, and back. */

/** Latents along a side of a cell, and elements of a channel in it. */
export const CELL = 2;
export const PLACES = CELL * CELL;

type Values = Float32Array | Int32Array;

/**
 * Fill cells [elements, ceil(rows / 2), ceil(columns / 2)] from latents [channels, rows, columns],
 * whose last row and column are repeated where a cell reaches beyond them.
 */
export function gather<Kind extends Values>(
  latents: Kind, rows: number, columns: number, elements: Int32Array, cells: Kind,
): Kind {
  const [height, width] = [Math.ceil(rows / CELL), Math.ceil(columns / CELL)];
  elements.forEach((element, e) => {
    const [channel, down, across] = [element >> 2, (element >> 1) % CELL, element % CELL];
    for (let row = 0; row < height; row++) {
      const from = (channel * rows + Math.min(CELL * row + down, rows - 1)) * columns;
      const to = (e * height + row) * width;
      for (let column = 0; column < width; column++) {
        cells[to + column] = latents[from + Math.min(CELL * column + across, columns - 1)];
      }
    }
  });
  return cells;
}

/** Fill latents [channels, rows, columns] from cells; what lies beyond them is left out. */
export function scatter<Kind extends Values>(
  cells: Kind, elements: Int32Array, rows: number, columns: number, latents: Kind,
): Kind {
  const [height, width] = [Math.ceil(rows / CELL), Math.ceil(columns / CELL)];
  elements.forEach((element, e) => {
    const [channel, down, across] = [element >> 2, (element >> 1) % CELL, element % CELL];
    for (let row = down; row < rows; row += CELL) {
      const from = (e * height + (row >> 1)) * width;
      const to = (channel * rows + row) * columns;
      for (let column = across; column < columns; column += CELL) {
        latents[to + column] = cells[from + (column >> 1)];
      }
    }
  });
  return latents;
}
