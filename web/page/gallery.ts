/** The row of pictures that are open. */

import type { OpenClip } from "../src/browser/client.js";
import type { Drawn } from "../src/picture.js";
import { find } from "./find.js";

/** Side of a small picture, in pixels. */
const SMALL = 160;

/** An open file. */
export interface Item {
  name: string;
  data: Uint8Array;
  /** Of a file that holds a clip. */
  clip?: OpenClip;
}

export class Gallery {
  private readonly list = find("#gallery", HTMLUListElement);

  /** @param choose is called with an item that a person clicks. */
  constructor(private readonly choose: (item: Item) => void) {}

  /** Add a file by a small copy of its picture; it becomes the current one. */
  add(item: Item, small: HTMLCanvasElement): void {
    const button = document.createElement("button");
    button.type = "button";
    button.title = item.name;
    const name = document.createElement("span");
    name.textContent = item.name;
    button.append(small, name);
    button.addEventListener("click", () => {
      this.mark(button);
      this.choose(item);
    });
    const entry = document.createElement("li");
    entry.append(button);
    this.list.append(entry);
    this.mark(button);
  }

  private mark(current: HTMLButtonElement): void {
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-current", String(button === current));
    }
  }
}

/** Return a small copy of a picture. */
export async function small(picture: Drawn): Promise<HTMLCanvasElement> {
  const scale = Math.min(1, SMALL / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const data = new ImageData(picture.pixels, picture.width, picture.height);
  const bitmap = await createImageBitmap(data);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}
