/** The script for other people's scripts: `import { Decoder } from "./quantal/quantal.js"`. */

export * from "../src/browser/index.js";
