/** Values of a file, read one after the other; every read is checked against the end. */

import { CorruptError, TruncatedError } from "../errors.js";

/** Characters of a name, by their code; code 0 is its end. */
const CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789-_.";
const LONGEST_NAME = 23;

export class Cursor {
  position = 0;
  /** What is being read, for errors. */
  what = "header";

  constructor(readonly data: Uint8Array) {}

  take(count: number): Uint8Array {
    const end = this.position + count;
    if (end > this.data.length) {
      throw new TruncatedError(
        `the file ends inside the ${this.what}, after ${this.data.length} bytes; it was cut, `
        + "fetch it again",
      );
    }
    const found = this.data.subarray(this.position, end);
    this.position = end;
    return found;
  }

  uint8(): number {
    return this.take(1)[0];
  }

  uint16(): number {
    const [low, high] = this.take(2);
    return low | (high << 8);
  }

  /** Read seven bits of each byte, lowest first, in the shortest form. */
  varint(bits = 32): number {
    const most = Math.ceil(bits / 7);
    let value = 0;
    for (let place = 0; place < most; place++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte >= 0x80) continue;
      if (place && !byte) throw new CorruptError(`the ${this.what} is not in its shortest form`);
      if (value >= 2 ** Math.min(bits, 53)) {
        throw new CorruptError(`the ${this.what} is ${value}, expected less than 2^${bits}`);
      }
      return value;
    }
    throw new CorruptError(`the ${this.what} runs over ${most} bytes`);
  }

  /** Read a name in radix 40: three characters in two bytes. */
  name(): string {
    const codes: number[] = [];
    while (!codes.includes(0)) {
      if (codes.length > LONGEST_NAME) {
        throw new CorruptError(`the ${this.what} has no end within ${LONGEST_NAME} characters`);
      }
      const group = this.uint16();
      if (group >= 64000) {
        throw new CorruptError(`the ${this.what} holds ${group}, expected at most 63999`);
      }
      codes.push(Math.floor(group / 1600), Math.floor(group / 40) % 40, group % 40);
    }
    const end = codes.indexOf(0);
    if (end === 0 || codes.slice(end).some(Boolean)) {
      throw new CorruptError(`the ${this.what} is empty or not in its shortest form`);
    }
    return codes.slice(0, end).map((code) => CHARACTERS[code]).join("");
  }
}
