import { describe, expect, test } from "vitest";
import { readFile } from "../src/container/file.js";
import { QuantalError, TruncatedError } from "../src/errors.js";
import type { ParseRequest } from "../src/models/parsed.js";
import { goldenFile, modelFor, randomNumbers, withPayload } from "./helpers.js";

function requestOf(data: Uint8Array): { codec: string; request: ParseRequest } {
  const { info, parts } = readFile(data);
  const { codec, width, height, rate } = info.header;
  return { codec, request: { payload: parts.get("image") ?? new Uint8Array(), width, height, rate } };
}

/** Parse, and return the error; anything but a QuantalError fails the test. */
function errorOf({ codec, request }: ReturnType<typeof requestOf>): QuantalError | undefined {
  try {
    modelFor(codec).model.parse(request);
    return undefined;
  } catch (error) {
    if (error instanceof QuantalError) return error;
    throw error;
  }
}

for (const codec of ["context-s", "hyperprior", "wavelet", "vq", "tokens"]) {
  describe(codec, () => {
    const whole = goldenFile(`${codec}/grey`);

    test("gives a named error, or other symbols, whatever its bytes are", () => {
      const random = randomNumbers(3);
      for (let round = 0; round < 12; round++) {
        const damaged = withPayload(whole, (payload) => {
          for (let i = 0; i <= round % 3; i++) payload[random() % payload.length] = random();
        });
        const error = errorOf(requestOf(damaged));
        if (error) expect(error.message.length).toBeGreaterThan(20);
      }
    });

    test("refuses a size that its bytes can't hold, before it takes memory", () => {
      const { request } = requestOf(whole);
      const large = { ...request, width: 65535, height: 16384 };
      expect(errorOf({ codec, request: large })?.message).toMatch(/needs at least \d+ bytes/);
    });

    test("refuses an empty image part", () => {
      const { request } = requestOf(whole);
      expect(errorOf({ codec, request: { ...request, payload: new Uint8Array() } })).toBeDefined();
    });
  });
}

describe("a cut stream", () => {
  test("says how many of its parts are there", () => {
    const { codec, request } = requestOf(goldenFile("context-s/colour-high"));
    const { payload } = request;
    const kept = payload.length >> 1;
    const { model } = modelFor(codec);
    const cut = { ...request, payload: payload.subarray(0, kept), missing: payload.length - kept };
    let parts = 0;
    try {
      model.parse({ ...cut, parts: 9 });
    } catch (error) {
      expect(error).toBeInstanceOf(TruncatedError);
      parts = (error as TruncatedError).facts.parts;
    }
    expect(parts).toBeGreaterThan(0);
    const prefix = model.parse({ ...cut, parts }).symbols;
    const all = model.parse(request).symbols;
    for (let part = 0; part < parts; part++) expect(prefix[part]).toEqual(all[part]);
    expect(prefix[parts].every((symbol) => symbol === 0)).toBe(true);
  });
});
