/** What reading and writing of PNG share: the signature, chunks, and streams. */

import { CorruptError } from "../errors.js";

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/**
 * Send bytes through a stream that compresses or decompresses.
 *
 * @param limit the most bytes that may come out.
 */
export async function through(
  data: Uint8Array, stream: CompressionStream | DecompressionStream, limit = Infinity,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([new Uint8Array(data)]).stream().pipeThrough(stream).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new CorruptError("the opacity holds more than the picture's pixels: it is damaged");
    }
    parts.push(value);
  }
  const found = new Uint8Array(size);
  let place = 0;
  for (const part of parts) {
    found.set(part, place);
    place += part.length;
  }
  return found;
}

/** Return the prediction of a byte of a line that PNG calls Paeth's. */
export function paeth(left: number, above: number, corner: number): number {
  const sum = left + above - corner;
  const [a, b, c] = [Math.abs(sum - left), Math.abs(sum - above), Math.abs(sum - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}
