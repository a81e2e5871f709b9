/**
 * What the tables of motion vectors start from: shares of a thousand, counted on training clips.
 * docs/reference/codecs/video.md says how tables are made of them.
 */

import type { Kernel } from "../core/kernel.js";
import { TOTAL, tablesOfWeights } from "../core/tables.js";
import type { Start } from "./counted.js";

/** Modes of macroblocks, and what chooses their tables. */
export const MODES = 5;
export const ACTIVITIES = 6;
export const PASTS = 6;
/** Differences up to this have an entry of their own; larger ones are escaped. */
export const SPAN = 64;
export const ENTRIES = 2 * SPAN + 1;
/** What chooses the tables of each component of differences. */
export const KINDS = 5;
export const SIZES = 6;
/** Magnitudes of differences up to the next bound share what their bucket has. */
const BUCKETS = [0, 1, 2, 3, 5, 9, 17, 33, SPAN + 1];

/** Macroblocks with vectors of their own: for every pass and activity, by the frame before. */
const MOVING = [
  [290, 71, 198, 382, 636, 837],
  [322, 322, 322, 322, 322, 322],
  [322, 322, 322, 322, 322, 322],
  [322, 322, 322, 322, 322, 322],
  [322, 322, 322, 322, 322, 322],
  [322, 322, 322, 322, 322, 322],
  [75, 33, 152, 335, 375, 252],
  [276, 174, 173, 374, 597, 441],
  [434, 319, 236, 397, 610, 660],
  [568, 491, 335, 423, 636, 746],
  [667, 478, 367, 457, 669, 823],
  [834, 604, 375, 528, 650, 872],
  [45, 18, 97, 174, 225, 171],
  [263, 196, 187, 321, 455, 473],
  [402, 379, 305, 427, 544, 600],
  [622, 528, 422, 529, 643, 724],
  [710, 595, 554, 609, 720, 827],
  [881, 770, 598, 719, 817, 915],
];
/** Of these, halves one above the other, halves side by side and quarters, by the activity. */
const SPLIT = [
  [92, 92, 91],
  [38, 40, 30],
  [61, 70, 54],
  [102, 94, 86],
  [127, 126, 121],
  [185, 173, 232],
];
/** Magnitudes in each bucket, the rest being escapes, for every state of differences. */
const DIFFERENCES = [
  [210, 159, 125, 125, 114, 92, 83, 48],
  [273, 185, 121, 113, 81, 75, 65, 37],
  [299, 424, 157, 75, 19, 13, 5, 3],
  [226, 233, 184, 191, 103, 31, 13, 8],
  [174, 94, 77, 106, 126, 133, 119, 83],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [308, 143, 86, 93, 89, 93, 83, 54],
  [358, 166, 69, 86, 62, 56, 57, 84],
  [547, 274, 86, 42, 16, 12, 10, 5],
  [440, 252, 114, 89, 54, 21, 10, 8],
  [265, 117, 87, 94, 109, 97, 87, 73],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [94, 143, 101, 111, 124, 133, 121, 80],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [320, 146, 102, 91, 86, 83, 77, 50],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [195, 176, 111, 100, 105, 112, 94, 60],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [248, 168, 108, 112, 101, 89, 77, 54],
  [1, 291, 183, 193, 135, 79, 52, 48],
  [380, 301, 109, 106, 55, 28, 11, 5],
  [406, 201, 124, 122, 75, 42, 15, 8],
  [355, 139, 108, 144, 111, 71, 42, 19],
  [254, 97, 69, 121, 144, 132, 109, 54],
  [171, 37, 46, 80, 109, 125, 158, 190],
  [455, 190, 106, 97, 51, 41, 31, 18],
  [399, 253, 131, 92, 55, 34, 17, 12],
  [375, 194, 120, 105, 86, 54, 35, 20],
  [248, 137, 110, 136, 136, 103, 74, 34],
  [170, 98, 74, 101, 147, 147, 152, 78],
  [100, 36, 41, 68, 117, 146, 205, 182],
  [9, 297, 189, 180, 147, 85, 45, 31],
  [226, 271, 179, 156, 91, 39, 21, 6],
  [240, 259, 142, 129, 83, 71, 41, 23],
  [157, 158, 141, 136, 137, 123, 87, 38],
  [80, 102, 79, 107, 150, 171, 155, 100],
  [67, 48, 40, 70, 90, 152, 194, 217],
  [416, 183, 131, 79, 67, 51, 41, 18],
  [414, 255, 114, 101, 60, 23, 20, 6],
  [398, 218, 106, 95, 79, 53, 27, 12],
  [291, 135, 94, 117, 119, 115, 84, 30],
  [195, 86, 75, 106, 136, 175, 122, 83],
  [170, 42, 37, 80, 102, 155, 184, 145],
  [243, 267, 135, 101, 94, 63, 57, 22],
  [317, 281, 138, 96, 85, 43, 15, 18],
  [299, 201, 119, 124, 113, 74, 48, 14],
  [210, 154, 118, 109, 117, 123, 92, 54],
  [146, 102, 86, 105, 131, 182, 151, 74],
  [124, 53, 61, 74, 109, 165, 182, 140],
];

/** Return weights in proportion to shares; every slot has some. */
function weightsOf(shares: bigint[]): number[] {
  const sum = shares.reduce((a, b) => a + b, 0n);
  const free = BigInt(TOTAL - shares.length);
  const weights = shares.map((share) => Number((share * free) / sum) + 1);
  const largest = shares.reduce((a, b) => (b > a ? b : a));
  weights[shares.indexOf(largest)] += TOTAL - weights.reduce((a, b) => a + b, 0);
  return weights;
}

function startOf(kernel: Kernel, weights: number[], entries: number): Start {
  const array = Int32Array.from(weights);
  return { tables: tablesOfWeights(kernel, array, entries + 1), weights: array, entries };
}

/** Return the tables of modes. */
export function modeTables(kernel: Kernel): Start {
  const weights = MOVING.flatMap((pasts, row) => {
    const parts = SPLIT[row % ACTIVITIES];
    const shares = [1000 - parts.reduce((a, b) => a + b, 0), ...parts];
    return pasts.flatMap((moving) =>
      weightsOf([1000 * (1000 - moving), ...shares.map((share) => moving * share), 0].map(BigInt)));
  });
  return startOf(kernel, weights, MODES);
}

/** Return the tables of differences; both signs are alike, and so is all of a bucket. */
export function differenceTables(kernel: Kernel): Start {
  const weights = DIFFERENCES.flatMap((shares) => {
    const law: bigint[] = [];
    shares.forEach((share, bucket) => {
      const [first, end] = [BUCKETS[bucket], BUCKETS[bucket + 1]];
      const each = (BigInt(share) << 20n) / BigInt((end - first) * (first ? 2 : 1));
      for (let size = first; size < end; size++) law.push(each);
    });
    const escape = BigInt(1000 - shares.reduce((a, b) => a + b, 0)) << 20n;
    return weightsOf([...law.slice(1).reverse(), ...law, escape]);
  });
  return startOf(kernel, weights, ENTRIES);
}
