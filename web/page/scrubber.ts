/** The slider through the frames of a clip, and playing them. */

import type { ClipFrame } from "../src/clip.js";
import type { OpenClip } from "../src/browser/client.js";
import { find } from "./find.js";

/** Frames a second where a clip does not say. */
const USUAL_RATE = 25;

export class Scrubber {
  private readonly place = find("#frames", HTMLDivElement);
  private readonly range = find("#frames input", HTMLInputElement);
  private readonly text = find("#frames output", HTMLOutputElement);
  private readonly button = find("#frames button", HTMLButtonElement);
  private clip: OpenClip | undefined;
  private playing = false;
  /** Whether a frame is being drawn, and whether another one is wanted by now. */
  private busy = false;
  private wanted = false;

  /**
   * @param show shows a frame.
   * @param fail is called with an error.
   */
  constructor(
    private readonly show: (frame: ClipFrame) => Promise<void>,
    private readonly fail: (error: unknown) => void,
  ) {
    this.range.addEventListener("input", () => {
      this.stop();
      this.want();
    });
    this.button.addEventListener("click", () => (this.playing ? this.stop() : void this.play()));
  }

  /** Offer the frames of a clip; without one, nothing. */
  offer(clip: OpenClip | undefined): void {
    this.stop();
    this.clip = clip;
    this.place.hidden = !clip;
    if (!clip) return;
    this.range.max = String(clip.info.frames - 1);
    this.range.value = "0";
    this.describe();
  }

  private describe(): void {
    this.text.textContent = `${Number(this.range.value) + 1} of ${Number(this.range.max) + 1}`;
  }

  /** Draw the frame that the slider says; a newer wish replaces older ones. */
  private want(): void {
    this.describe();
    this.wanted = true;
    if (!this.busy) void this.drawWanted();
  }

  private async drawWanted(): Promise<void> {
    this.busy = true;
    while (this.wanted) {
      this.wanted = false;
      await this.draw();
    }
    this.busy = false;
  }

  private async draw(): Promise<void> {
    const { clip } = this;
    if (!clip) return;
    try {
      const frame = await clip.frame(Number(this.range.value));
      if (clip === this.clip) await this.show(frame);
    } catch (error) {
      this.stop();
      this.fail(error);
    }
  }

  /** Show frames one after the other, no faster than the clip says. */
  private async play(): Promise<void> {
    const { clip } = this;
    if (!clip) return;
    this.playing = true;
    this.button.textContent = "Stop";
    this.button.setAttribute("aria-pressed", "true");
    const pause = 1000 / (clip.info.header.frameRate || USUAL_RATE);
    if (this.range.value === this.range.max) this.range.value = "-1";
    while (this.playing && clip === this.clip && Number(this.range.value) < Number(this.range.max)) {
      const due = performance.now() + pause;
      this.range.value = String(Number(this.range.value) + 1);
      this.describe();
      await this.draw();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    }
    if (clip === this.clip) this.stop();
  }

  private stop(): void {
    this.playing = false;
    this.button.textContent = "Play";
    this.button.setAttribute("aria-pressed", "false");
  }
}
