import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Decoder } from "../src/core/decoder.js";
import { Kernel } from "../src/core/kernel.js";
import { TableSet } from "../src/core/tables.js";
import { CorruptError, TruncatedError } from "../src/errors.js";

/** Where tests/web/test_node.py has put a stream of Python's coder. */
const path = process.env.QUANTAL_STREAM;

type Known = Record<"first" | "offsets" | "cumulative" | "index" | "symbols" | "stream", number[]>;

test.skipIf(!path)("a stream of Python's coder gives its symbols, escapes among them", () => {
  const known = JSON.parse(readFileSync(path ?? "", "utf8")) as Known;
  const kernel = new Kernel();
  const [first, offsets, cumulative] = [known.first, known.offsets, known.cumulative].map(
    (values) => Int32Array.from(values));
  const tables = new TableSet(kernel, first, offsets, cumulative);
  const index = Uint8Array.from(known.index);
  const stream = Uint8Array.from(known.stream);
  const decoder = new Decoder(kernel, stream);
  expect([...decoder.take(index, tables)]).toEqual(known.symbols);
  decoder.finish();
  // Its end is read first: what is missing at its beginning is missed last.
  expect(() => new Decoder(kernel, stream.subarray(100)).take(index, tables)).toThrow(TruncatedError);
  const more = new Decoder(kernel, Uint8Array.of(...stream, 7));
  expect(() => {
    more.take(index, tables);
    more.finish();
  }).toThrow(/cut|damaged|does not end/);
  expect(() => new Decoder(kernel, Uint8Array.of(...stream, 0))).toThrow(CorruptError);
});
