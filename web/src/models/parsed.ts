/** What all models of image parts take and give. */

/** An image part, and what the header says of it. */
export interface ParseRequest {
  payload: Uint8Array;
  width: number;
  height: number;
  /** 0..252. */
  rate: number;
  /** How many parts of a progressive stream; default: all, and the stream has to end there. */
  parts?: number;
  /** Bytes that a progressive stream lacks at its end. */
  missing?: number;
}

/** What an image part holds. */
export interface Parsed {
  /** Every symbol in coding order, equal on all machines. */
  symbols: Int32Array[];
}
