/** From a weights file to the model that reads image parts with it. */

import { hex, Sha256 } from "../core/sha256.js";
import { ModelError } from "../errors.js";
import type { Arrays } from "../weights/safetensors.js";
import { Classes } from "./classes.js";
import { Context } from "./context.js";
import { Hyperprior } from "./hyperprior.js";
import { Predicted } from "./predicted.js";
import { Tokens } from "./tokens.js";
import { Vq } from "./vq.js";

export type Model = Context | Hyperprior | Classes | Vq | Tokens;

/** Of each layout of weights: the model, and which arrays its hash covers. */
const LAYOUTS: Readonly<Record<string, { model: new (arrays: Arrays) => Model; hashed: RegExp }>> = {
  "context layout 1": { model: Context, hashed: /^(exact|tables)\./ },
  "hyperprior layout 1": { model: Hyperprior, hashed: /^(exact|tables)\./ },
  "video layout 1": { model: Predicted, hashed: /^(exact|tables)\./ },
  "wavelet layout 1": { model: Classes, hashed: /^(exact|tables)\./ },
  "quantal-vq-1": { model: Vq, hashed: /^(priors\.|net\.rungs\.\d+\.books\.\d+\.codebook$)/ },
  "quantal-tokens-1": { model: Tokens, hashed: /^(tables\.weights|net\.coefficient|net\.level)$/ },
};

/** Build the model of a weights file; ModelError if it does not have the hash that it states. */
export function modelOf(arrays: Arrays): { model: Model; hash: string } {
  const layout = arrays.metadata.format ?? "";
  const found = LAYOUTS[layout];
  if (!found) {
    throw new ModelError(
      `the weights say format "${layout}", expected ${Object.keys(LAYOUTS).join(" or ")}; `
      + "update this page",
    );
  }
  const digest = new Sha256().update(new TextEncoder().encode(layout));
  for (const name of arrays.names.filter((each) => found.hashed.test(each))) {
    digest.update(new TextEncoder().encode(arrays.description(name))).update(arrays.bytes(name));
  }
  const hash = hex(digest.digest()).slice(0, 8);
  if (hash !== arrays.metadata.hash) {
    throw new ModelError(
      `the weights have the hash ${hash}, they state ${arrays.metadata.hash}; fetch them again`,
    );
  }
  return { model: new found.model(arrays), hash };
}
