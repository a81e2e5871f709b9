/** The script for other people's pages: it defines `<qtl-img>`. */

import { defineElement } from "../src/browser/element.js";

// Models and ONNX Runtime lie beside this script.
defineElement(new URL(/* @vite-ignore */ "./", import.meta.url));
