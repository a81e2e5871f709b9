/** The page: files come in, pictures are shown, errors are named. */

import { Decoder } from "../src/browser/client.js";
import { errorData } from "../src/errors.js";
import { addressedFiles, type Named, namedFiles, onDrop } from "./files.js";
import { Gallery, type Item, small } from "./gallery.js";
import { mediaOf } from "../src/container/file.js";
import { find } from "./find.js";
import { Viewer } from "./viewer.js";

/** Errors that stay on the page; older ones go. */
const MOST_ERRORS = 20;

const errors = find("#errors", HTMLUListElement);
const hint = find("#hint", HTMLElement);
const usual = hint.textContent;
const address = new URL(location.href);
const gpu = address.searchParams.get("gpu");
const decoder = new Decoder("./", gpu === "off" || gpu === "any" ? gpu : "auto");
const viewer = new Viewer(decoder, report);
const gallery = new Gallery((item) => void show(item));

/** Show an error, and leave the page as it is. */
function report(error: unknown, file: string): void {
  const { name, message } = errorData(error);
  const entry = document.createElement("li");
  entry.textContent = `${file}: ${name}: ${message}`;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "Dismiss";
  remove.addEventListener("click", () => entry.remove());
  entry.append(remove);
  errors.prepend(entry);
  while (errors.children.length > MOST_ERRORS) errors.lastElementChild?.remove();
}

async function show(item: Item): Promise<void> {
  try {
    if (item.clip) await viewer.showClip(item, await item.clip.frame(0));
    else await viewer.show(item, await decoder.decode(item.data));
  } catch (error) {
    report(error, item.name);
  }
}

function holdsClip(data: Uint8Array): boolean {
  try {
    return mediaOf(data) === "video";
  } catch {
    return false; // the decoder says what is wrong
  }
}

/** Draw a file, and add it to the gallery. */
async function add(name: string, data: Uint8Array): Promise<void> {
  if (holdsClip(data)) {
    const clip = await decoder.openClip(data);
    const item = { name, data, clip };
    const frame = await clip.frame(0);
    gallery.add(item, await small(frame));
    await viewer.showClip(item, frame);
    return;
  }
  const item = { name, data };
  const picture = await decoder.decode(data);
  gallery.add(item, await small(picture));
  await viewer.show(item, picture);
}

async function open(files: Named[]): Promise<void> {
  // Pictures first: an image among the files is the original of the last of them.
  for (const file of files.filter((each) => !each.isImage)) {
    hint.textContent = `Drawing ${file.name}…`;
    try {
      await add(file.name, await file.read());
    } catch (error) {
      report(error, file.name);
    }
  }
  for (const file of files.filter((each) => each.isImage)) {
    try {
      await viewer.showOriginal(file.name, await file.read());
    } catch (error) {
      report(error, file.name);
    }
  }
  hint.textContent = usual;
}

/** Let a button open a choice of files. */
function choose(button: string, input: string): void {
  const field = find(input, HTMLInputElement);
  find(button, HTMLButtonElement).addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    void open(namedFiles(field.files ?? []));
    field.value = "";
  });
}

choose("#open", "#files");
choose("#choose", "#image");
onDrop((files) => void open(files));
addressedFiles(address).then(open).catch((error: unknown) => report(error, "address"));
