/**
 * Every error that the decoder raises on purpose, as one tree. The names are those of the Python
 * package. A message says what was found, what was expected and what to do.
 */

export class QuantalError extends Error {
  override name = "QuantalError";

  /**
   * @param message what was found, what was expected and what to do.
   * @param code a short name of the situation, for programs; empty if there is none.
   * @param facts figures for it, by name.
   */
  constructor(
    message: string,
    readonly code = "",
    readonly facts: Readonly<Record<string, number>> = {},
  ) {
    super(message);
  }
}

/** A .qtl file can't be read. */
export class BitstreamError extends QuantalError {
  override name = "BitstreamError";
}

/** A .qtl file, or a stream inside it, ends before everything announced was read. */
export class TruncatedError extends BitstreamError {
  override name = "TruncatedError";
}

/** A .qtl file contradicts itself, its checksums, or what its header justifies. */
export class CorruptError extends BitstreamError {
  override name = "CorruptError";
}

/** A .qtl file needs a newer reader than this one. */
export class UnsupportedVersionError extends BitstreamError {
  override name = "UnsupportedVersionError";
}

/** A codec is unknown, or its weights are missing, damaged or not those that a file needs. */
export class ModelError extends QuantalError {
  override name = "ModelError";
}

/** A file is sound, but this decoder or this browser can't decode it. */
export class UnsupportedError extends QuantalError {
  override name = "UnsupportedError";
}

/** An option has an impossible value. */
export class ArgumentError extends QuantalError {
  override name = "ArgumentError";
}

/** A picture needs more memory than the browser gives. */
export class OutOfMemoryError extends QuantalError {
  override name = "OutOfMemoryError";
}

const KINDS = {
  QuantalError, BitstreamError, TruncatedError, CorruptError, UnsupportedVersionError, ModelError,
  UnsupportedError, ArgumentError, OutOfMemoryError,
};

/** An error as plain data, which can be sent from a worker to its page. */
export interface ErrorData {
  name: string;
  message: string;
  code: string;
  facts: Readonly<Record<string, number>>;
}

/** Return an error as plain data. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof QuantalError) {
    const { name, message, code, facts } = error;
    return { name, message, code, facts };
  }
  if (error instanceof RangeError) {
    const message = `this picture needs more memory than the browser gives (${error.message}); `
      + "close other pages, or decode it with the Python package";
    return { name: "OutOfMemoryError", message, code: "memory", facts: {} };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { name: "QuantalError", message: `unexpected error: ${message}`, code: "", facts: {} };
}

/** Reverse errorData(). */
export function errorFrom(data: ErrorData): QuantalError {
  const kind = Object.entries(KINDS).find(([name]) => name === data.name)?.[1] ?? QuantalError;
  return new kind(data.message, data.code, data.facts);
}
