/** Answers what a page asks for, in a worker or in the page. */

import type { Clip } from "../clip.js";
import type { CoreDecoder } from "../decoder.js";
import { ArgumentError } from "../errors.js";
import { localDecoder, type Place } from "./local.js";
import type { Answers, Asked, Kind } from "./messages.js";

export class Answering {
  private readonly decoder: CoreDecoder;
  private readonly clips = new Map<number, Clip>();
  /** One picture at a time: two would take twice the memory, and not be faster. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(place: Place) {
    this.decoder = localDecoder(place);
  }

  answer(asked: Asked): Promise<Answers[Kind]> {
    const answer = this.last.then(() => this.work(asked));
    this.last = answer.catch(() => undefined);
    return answer;
  }

  private async work(asked: Asked): Promise<Answers[Kind]> {
    if (asked.kind === "decode") return this.decoder.decode(asked.data, asked.options);
    if (asked.kind === "open") {
      const clip = await this.decoder.openClip(asked.data);
      this.clips.set(asked.clip, clip);
      return clip.info;
    }
    if (asked.kind === "close") {
      this.clips.delete(asked.clip);
      return undefined;
    }
    const clip = this.clips.get(asked.clip);
    if (!clip) throw new ArgumentError("the clip is closed; open it again");
    return clip.frame(asked.number);
  }
}
