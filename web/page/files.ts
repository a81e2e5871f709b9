/** Files that are dropped, chosen, or named by the address of the page. */

import { fetchFile } from "../src/browser/element.js";

/** A file, not yet read. */
export interface Named {
  name: string;
  read(): Promise<Uint8Array>;
  /** Whether it is an image that the browser shows by itself. */
  isImage: boolean;
}

/** Return files of a drop or of an input. */
export function namedFiles(files: Iterable<File>): Named[] {
  return [...files].map((file) => ({
    name: file.name,
    read: async () => new Uint8Array(await file.arrayBuffer()),
    isImage: file.type.startsWith("image/") && !file.name.endsWith(".qtl"),
  }));
}

/**
 * Return files that the address names: `?src=photo.qtl`, several of them, or `?list=files.json`
 * with an array of names and addresses.
 */
export async function addressedFiles(address: URL): Promise<Named[]> {
  const found = address.searchParams.getAll("src").map((src) => remote(src, src));
  for (const list of address.searchParams.getAll("list")) {
    const data = await fetchFile(new URL(list, address).href);
    const entries = JSON.parse(new TextDecoder().decode(data)) as { name: string; src: string }[];
    found.push(...entries.map(({ name, src }) => remote(name, new URL(src, new URL(list, address)).href)));
  }
  return found;
}

function remote(name: string, src: string): Named {
  const url = new URL(src, document.baseURI);
  return {
    name: decodeURIComponent(name.split("/").at(-1) ?? name),
    read: () => fetchFile(url.href),
    isImage: false,
  };
}

/** Call a function with files that are dropped anywhere on the page. */
export function onDrop(take: (files: Named[]) => void): void {
  const mark = (dropping: boolean) => document.body.classList.toggle("dropping", dropping);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take(namedFiles(event.dataTransfer?.files ?? []));
  });
}
