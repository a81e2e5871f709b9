/** Checksums: CRC-32 as of zlib, and CRC-16 (CCITT). */

const CRC32 = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Return the CRC-32 of bytes, continued from that of bytes before them. */
export function crc32(data: Uint8Array, before = 0): number {
  let value = ~before;
  for (let i = 0; i < data.length; i++) value = CRC32[(value ^ data[i]) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Return the CRC-16 of bytes, continued likewise. */
export function crc16(data: Uint8Array, before = 0): number {
  let value = before;
  for (const byte of data) {
    value ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) value = (value & 0x8000 ? (value << 1) ^ 0x1021 : value << 1) & 0xffff;
  }
  return value;
}
