// Everything of the decoder that needs 64 bits or SIMD. All memory is the caller's: nothing here
// allocates, and addresses are those of the caller.

export { take, takeUniform } from "./coder";
export { countSymbol, makeTables, startCounts } from "./counts";
export {
  denseNarrow, denseWide, depthwiseNarrow, depthwiseWide, largest, narrow, shuffle,
} from "./layers";

// The first address that is free.
export function heapBase(): usize {
  return __heap_base;
}
