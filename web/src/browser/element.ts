/** The element `<qtl-img src="photo.qtl" alt="…">`, which is used as `<img>` is. */

import { errorData, errorFrom, type QuantalError, TruncatedError, UnsupportedError } from "../errors.js";
import { Decoder } from "./client.js";
import { elementOf } from "./show.js";

const STYLE = `
  :host { display: inline-block; }
  :host([hidden]) { display: none; }
  canvas, img { display: block; width: 100%; height: auto; }
`;

/** Fetch a file, with errors in plain words. */
export async function fetchFile(url: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new UnsupportedError(
      `${url} can't be fetched: ${error instanceof Error ? error.message : String(error)}; files `
      + "are fetched from web hosts alone, and from others than the page's only if they allow it",
      "fetch",
    );
  }
  if (!response.ok) {
    throw new TruncatedError(
      `${url} can't be fetched: the host answers ${response.status}; check the address`, "fetch",
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Define the element.
 *
 * @param base holds the folders `models` and `ort`.
 */
export function defineElement(base: URL): void {
  if (customElements.get("qtl-img")) return;
  const decoder = new Decoder(base);

  class QtlImage extends HTMLElement {
    static readonly observedAttributes = ["src", "alt", "max-parts"];
    /** The width and height of the picture, in pixels; 0 until it is drawn. */
    naturalWidth = 0;
    naturalHeight = 0;
    complete = false;
    /** Why the picture was not drawn. */
    error: QuantalError | undefined;
    private readonly place: HTMLDivElement;
    private readonly observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) this.start();
    });
    /** Counts requests, so that an answer to an earlier one is left. */
    private number = 0;
    private planned = false;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      const style = document.createElement("style");
      style.textContent = STYLE;
      this.place = document.createElement("div");
      this.place.setAttribute("part", "picture");
      // What stands inside of the element is shown until the picture is there, or if it fails.
      this.place.append(document.createElement("slot"));
      root.append(style, this.place);
    }

    get src(): string {
      return this.getAttribute("src") ?? "";
    }

    set src(value: string) {
      this.setAttribute("src", value);
    }

    get alt(): string {
      return this.getAttribute("alt") ?? "";
    }

    set alt(value: string) {
      this.setAttribute("alt", value);
    }

    connectedCallback(): void {
      if (this.getAttribute("role") === null) this.setAttribute("role", "img");
      this.describe();
      this.plan();
    }

    disconnectedCallback(): void {
      this.observer.disconnect();
      this.number++;
    }

    attributeChangedCallback(name: string): void {
      if (!this.isConnected) return;
      if (name === "alt") this.describe();
      else this.plan();
    }

    private describe(): void {
      this.setAttribute("aria-label", this.alt);
    }

    private plan(): void {
      this.planned = true;
      this.complete = false;
      if (this.getAttribute("loading") === "lazy") this.observer.observe(this);
      else queueMicrotask(() => this.start());
    }

    private start(): void {
      this.observer.disconnect();
      if (!this.planned || !this.isConnected || !this.src) return;
      this.planned = false;
      void this.draw(++this.number);
    }

    private async draw(number: number): Promise<void> {
      try {
        const parts = this.getAttribute("max-parts");
        const data = await fetchFile(new URL(this.src, document.baseURI).href);
        const options = parts === null ? {} : { maxParts: Number(parts) };
        const picture = await decoder.decode(data, options);
        const element = await elementOf(picture);
        if (number !== this.number) return;
        [this.naturalWidth, this.naturalHeight] = [picture.width, picture.height];
        this.place.replaceChildren(element);
        this.finish("load");
      } catch (error) {
        if (number === this.number) this.finish("error", errorFrom(errorData(error)));
      }
    }

    private finish(event: "load" | "error", error?: QuantalError): void {
      this.complete = true;
      this.error = error;
      if (error) console.error(`qtl-img ${this.src}: ${error.name}: ${error.message}`);
      this.dispatchEvent(new Event(event));
    }
  }

  customElements.define("qtl-img", QtlImage);
}
