/** Writing a decoded picture as PNG, with its profile and its metadata. */

import { crc32 } from "../container/crc.js";
import type { Drawn } from "../picture.js";
import { through } from "../streams.js";
import { paeth, SIGNATURE } from "./chunks.js";

/** Return a picture as the bytes of a PNG; nothing of its opacity is lost. */
export async function writePng(picture: Drawn): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, metadata } = picture;
  const [samples, colour] = samplesOf(picture);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, colour);
  const parts = [SIGNATURE, chunk("IHDR", new Uint8Array(header.buffer))];
  const text = (content: string) => new TextEncoder().encode(content);
  const packed = (data: Uint8Array) => through(data, new CompressionStream("deflate"));
  if (metadata.icc) parts.push(chunk("iCCP", joined(text("profile\0\0"), await packed(metadata.icc))));
  if (metadata.exif) parts.push(chunk("eXIf", metadata.exif));
  if (metadata.xmp) {
    parts.push(chunk("iTXt", joined(text("XML:com.adobe.xmp\0\0\0\0\0"), metadata.xmp)));
  }
  const lines = filtered(samples, width * CHANNELS[colour], height, CHANNELS[colour]);
  parts.push(chunk("IDAT", await packed(lines)), chunk("IEND", new Uint8Array()));
  return joined(...parts);
}

/** Channels of PNG's types of colour. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** Return the samples that a picture needs, and the type of colour that they are. */
function samplesOf({ pixels, grey, opaque }: Drawn): [samples: Uint8Array, colour: number] {
  const kept = grey ? (opaque ? [0] : [0, 3]) : opaque ? [0, 1, 2] : [0, 1, 2, 3];
  const colour = (grey ? 0 : 2) + (opaque ? 0 : 4);
  const count = pixels.length / 4;
  const found = new Uint8Array(count * kept.length);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < kept.length; c++) found[i * kept.length + c] = pixels[4 * i + kept[c]];
  }
  return [found, colour];
}

/** Return lines of bytes with Paeth's filter, each behind the number of its filter. */
function filtered(samples: Uint8Array, stride: number, height: number, step: number): Uint8Array {
  const found = new Uint8Array(height * (stride + 1));
  for (let row = 0; row < height; row++) {
    const from = row * stride;
    const to = row * (stride + 1);
    found[to] = 4;
    for (let i = 0; i < stride; i++) {
      const left = i >= step ? samples[from + i - step] : 0;
      const above = row ? samples[from + i - stride] : 0;
      const corner = row && i >= step ? samples[from + i - stride - step] : 0;
      found[to + 1 + i] = samples[from + i] - paeth(left, above, corner);
    }
  }
  return found;
}

function chunk(kind: string, content: Uint8Array): Uint8Array {
  const found = new Uint8Array(content.length + 12);
  const view = new DataView(found.buffer);
  view.setUint32(0, content.length);
  found.set(new TextEncoder().encode(kind), 4);
  found.set(content, 8);
  view.setUint32(content.length + 8, crc32(found.subarray(4, content.length + 8)));
  return found;
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const found = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    found.set(part, place);
    place += part.length;
  }
  return found;
}
