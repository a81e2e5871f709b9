/** The picture that is shown, its original over it, and the controls of both. */

import type { Decoder } from "../src/browser/client.js";
import { elementOf, pngOf } from "../src/browser/show.js";
import { QuantalError } from "../src/errors.js";
import type { ClipFrame } from "../src/clip.js";
import type { Drawn, Picture } from "../src/picture.js";
import { showClipFields, showFields, showGroups, showParts, timesOf } from "./details.js";
import { find } from "./find.js";
import type { Item } from "./gallery.js";
import { Scrubber } from "./scrubber.js";

export class Viewer {
  private readonly view = find("#view", HTMLElement);
  private readonly stage = find("#stage", HTMLElement);
  private readonly place = find("#picture", HTMLDivElement);
  private readonly original = find("#original", HTMLDivElement);
  private readonly status = find("#status", HTMLElement);
  private readonly parts = find("#parts", HTMLLabelElement);
  private readonly partsRange = find("#parts input", HTMLInputElement);
  private readonly partsText = find("#parts output", HTMLOutputElement);
  private readonly compare = find("#compare", HTMLLabelElement);
  private readonly compareRange = find("#compare input", HTMLInputElement);
  private readonly save = find("#save", HTMLButtonElement);
  private readonly zoom = find("#zoom", HTMLButtonElement);
  private readonly scrubber = new Scrubber(
    (frame) => this.putFrame(frame),
    (error) => this.report(error, this.item?.name ?? "clip"),
  );
  private item: Item | undefined;
  private picture: Drawn | undefined;
  /** Whether a picture is being drawn, and whether another is to follow. */
  private busy = false;
  private again = false;

  constructor(private readonly decoder: Decoder, private readonly report: (error: unknown, name: string) => void) {
    this.partsRange.addEventListener("input", () => this.redraw());
    this.compareRange.addEventListener("input", () => this.cutOriginal());
    this.save.addEventListener("click", () => void this.savePng());
    this.zoom.addEventListener("click", () => {
      const actual = this.stage.classList.toggle("actual");
      this.zoom.setAttribute("aria-pressed", String(actual));
    });
  }

  /** Show a picture of the gallery, which is drawn already. */
  async show(item: Item, picture: Picture): Promise<void> {
    this.begin(item);
    showFields(find("#fields", HTMLTableElement), picture.info);
    showParts(find("#pieces", HTMLTableElement), picture.info);
    const { drawn, all } = picture.parts;
    this.parts.hidden = all === 1;
    this.partsRange.max = String(all);
    this.partsRange.value = String(drawn);
    this.scrubber.offer(undefined);
    await this.putPicture(picture);
  }

  /** Show a clip of the gallery by its first frame, which is drawn already. */
  async showClip(item: Item, frame: ClipFrame): Promise<void> {
    if (!item.clip) return;
    this.begin(item);
    showClipFields(find("#fields", HTMLTableElement), item.clip.info);
    showGroups(find("#pieces", HTMLTableElement), item.clip.info);
    this.parts.hidden = true;
    this.scrubber.offer(item.clip);
    await this.putFrame(frame);
  }

  private begin(item: Item): void {
    this.item = item;
    this.view.hidden = false;
    find("#name", HTMLElement).textContent = item.name;
    this.removeOriginal();
  }

  private async putPicture(picture: Picture): Promise<void> {
    const { drawn, all } = picture.parts;
    this.partsText.textContent = `${drawn} of ${all} parts`;
    this.status.textContent = timesOf(picture);
    await this.put(picture);
  }

  private async putFrame(frame: ClipFrame): Promise<void> {
    this.status.textContent = `frame ${frame.number + 1}`;
    await this.put(frame);
  }

  private async put(picture: Drawn): Promise<void> {
    this.picture = picture;
    this.place.replaceChildren(await elementOf(picture));
  }

  /** Draw the picture from as many parts as the slider says; a newer wish replaces older ones. */
  private redraw(): void {
    this.partsText.textContent = `${this.partsRange.value} of ${this.partsRange.max} parts`;
    this.again = true;
    if (!this.busy) void this.drawParts();
  }

  private async drawParts(): Promise<void> {
    this.busy = true;
    while (this.again && this.item) {
      this.again = false;
      const { item } = this;
      try {
        const picture = await this.decoder.decode(item.data, { maxParts: Number(this.partsRange.value) });
        if (item === this.item) await this.putPicture(picture);
      } catch (error) {
        this.report(error, item.name);
      }
    }
    this.busy = false;
  }

  /** Lay an image of the same shape over the picture. */
  async showOriginal(name: string, data: Uint8Array): Promise<void> {
    const { picture } = this;
    if (!picture) {
      throw new QuantalError(`${name} is an image; open the .qtl file first that it is to be compared with`);
    }
    const image = new Image();
    image.alt = "original";
    image.src = URL.createObjectURL(new Blob([new Uint8Array(data)]));
    try {
      await image.decode();
    } catch {
      throw new QuantalError(`${name} is no image that this browser shows; take a PNG or a JPEG`);
    } finally {
      URL.revokeObjectURL(image.src);
    }
    if (image.naturalWidth !== picture.width || image.naturalHeight !== picture.height) {
      throw new QuantalError(
        `${name} has ${image.naturalWidth}x${image.naturalHeight} pixels, expected `
        + `${picture.width}x${picture.height}; take the original of this picture`,
      );
    }
    this.original.replaceChildren(image);
    this.original.hidden = this.compare.hidden = false;
    this.cutOriginal();
  }

  private removeOriginal(): void {
    this.original.replaceChildren();
    this.original.hidden = this.compare.hidden = true;
  }

  private cutOriginal(): void {
    this.original.style.clipPath = `inset(0 ${100 - Number(this.compareRange.value)}% 0 0)`;
  }

  private async savePng(): Promise<void> {
    if (!this.picture || !this.item) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await pngOf(this.picture));
    link.download = this.item.name.replace(/\.qtl$/i, "") + ".png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}
