/** Tables of what a file says. */

import type { ClipInfo } from "../src/container/clip.js";
import type { FileInfo } from "../src/container/file.js";
import type { Picture } from "../src/picture.js";

type Row = [name: string, ...values: string[]];

function fill(table: HTMLTableElement, rows: Row[]): void {
  table.replaceChildren(
    ...rows.map(([name, ...values]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head);
      for (const value of values) row.insertCell().textContent = value;
      return row;
    }),
  );
}

const count = (value: number) => value.toLocaleString("en");

/** Show the header of a file. */
export function showFields(table: HTMLTableElement, { header, bytes, headerBytes }: FileInfo): void {
  fill(table, [
    ["size", `${header.width} × ${header.height} pixels`],
    ["file", `${count(bytes)} bytes`],
    ["bits per pixel", ((8 * bytes) / (header.width * header.height)).toFixed(4)],
    ["quality", `${header.quality} of 100`],
    ["codec", header.codec],
    ["model", header.modelHash],
    ["colour", header.grey ? "grey" : "RGB"],
    ["version", `${header.version}`],
    ["header", `${count(headerBytes)} bytes`],
  ]);
}

/** Show where the parts of a file are. */
export function showParts(table: HTMLTableElement, { parts }: FileInfo): void {
  fill(table, parts.map(({ kind, offset, bytes }) =>
    [kind, `${count(bytes)} bytes`, `at ${count(offset)}`]));
}

/** Show the header of a clip. */
export function showClipFields(table: HTMLTableElement, info: ClipInfo): void {
  const { header, frames, groups, besideBytes, bytes, cut } = info;
  fill(table, [
    ["size", `${header.width} × ${header.height} pixels`],
    ["frames", `${count(frames)} in ${count(groups.length)} groups`],
    ["frames a second", header.frameRate ? header.frameRate.toFixed(3) : "not known"],
    ["file", `${count(bytes)} bytes${cut ? ", cut" : ""}`],
    ["bits per pixel", ((8 * (bytes - besideBytes)) / (header.width * header.height * frames)).toFixed(4)],
    ["quality", `${header.quality} of 100`],
    ["codec", header.codec],
    ["model", header.modelHash],
    ["version", `${header.version}`],
    ...(besideBytes ? [["sound and more", `${count(besideBytes)} bytes, not played`] as Row] : []),
  ]);
}

/** Groups that are listed; a long clip has thousands. */
const MOST_GROUPS = 100;

/** Show where the groups of a clip are. */
export function showGroups(table: HTMLTableElement, { groups }: ClipInfo): void {
  const listed = groups.slice(0, MOST_GROUPS);
  const rows = listed.map(({ frame, count: frames, offset, bytes }): Row =>
    [`frame ${frame}`, `${frames} frames`, `${count(bytes)} bytes`, `at ${count(offset)}`]);
  const left = groups.length - listed.length;
  fill(table, left ? [...rows, [`and ${count(left)} more`]] : rows);
}

/** Return what drawing took, as a line. */
export function timesOf({ times, parts, warnings }: Picture): string {
  const drawn = parts.all > 1 ? `, ${parts.drawn} of ${parts.all} parts` : "";
  const ms = `read in ${times.parse.toFixed(0)} ms, drawn in ${times.draw.toFixed(0)} ms`;
  return [`${ms}${drawn}`, ...warnings].join("; ");
}
