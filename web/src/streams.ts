/** Bytes through the browser's own compression. */

import { CorruptError } from "./errors.js";

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
      throw new CorruptError(`more than ${limit} bytes come out of a stream, which is damaged`);
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

/** Return what gzip packed; bytes that a host has unpacked already come back as they are. */
export function unpacked(data: Uint8Array): Promise<Uint8Array> {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return Promise.resolve(data);
  return through(data, new DecompressionStream("gzip"));
}
