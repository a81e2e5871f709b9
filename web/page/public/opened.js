// A page that is opened as a file can load no modules, workers or models: say so instead.
if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    const note = document.createElement("p");
    note.id = "opened-as-file";
    note.textContent =
      "This page was opened from a file, and browsers load no modules and no models from files. "
      + "Open it from a web host: `quantal view photo.qtl` serves it, and any static host does.";
    document.body.replaceChildren(note);
  });
}
