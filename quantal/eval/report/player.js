"use strict";
// The sections of clips: curves over frames, and the player. page.js calls it with the report and
// its helpers, and gets what draws again when the metric changes.
window.clipSections = ({ report, $, el, axis, layout, config, css, quality, count, name, lineOf }) => {
  // ---- curves over frames ---------------------------------------------------------------------
  const clipMenu = $("frames-clip");

  function drawFrames() {
    const metric = axis();
    const own = report.frames[clipMenu.value] || [];
    const trace = (line, series, place) => ({
      type: "scatter", mode: "lines", name: line.label, x: series.map((_, i) => i + 1), y: series,
      yaxis: place, legendgroup: line.name, showlegend: place === "y",
      line: { color: line.colour, width: 1.8 },
    });
    const traces = own.flatMap((one) => {
      const line = lineOf.get(one.codec);
      const label = `<b>${line.label}</b>, quality ${one.quality}, ${count(one.bytes)} bytes in all<br>frame %{x}: `;
      return [
        { ...trace(line, one.series[metric.name], "y"), hovertemplate: `${label}%{y:.${metric.unit ? 2 : 4}f}<extra></extra>` },
        { ...trace(line, one.series.bytes, "y2"), hovertemplate: `${label}%{y:,} bytes<extra></extra>` },
      ];
    });
    const plain = layout({});
    Plotly.react("frames-chart", traces, layout({
      showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: css("--ink"), size: 13.5 } },
      hovermode: "closest",
      xaxis: { title: { text: "frame" }, anchor: "y2" },
      yaxis: { title: { text: metric.title + (metric.unit ? ` (${metric.unit})` : "") }, domain: [0.46, 1], autorange: metric.turned ? "reversed" : true },
      yaxis2: { ...plain.yaxis, title: { text: "bytes" }, domain: [0, 0.38], type: "log" },
    }), config);
  }

  clipMenu.replaceChildren(...Object.keys(report.frames).map((clip) => el("option", { value: clip }, clip)));
  clipMenu.addEventListener("change", drawFrames);

  // ---- the player -----------------------------------------------------------------------------
  const stage = $("player-stage");
  const slider = $("player-frame");
  const menus = { left: $("player-left"), right: $("player-right") };
  const images = new Map(); // data URI -> image
  let clip = report.played[0];
  let cut = 0.5;
  let timer = null;

  const choices = () => [{ codec: "", uris: clip.uris }, ...clip.played];
  const chosen = (side) => choices().find((one) => one.codec === menus[side].value) || choices()[0];
  const title = (one) => (one.codec ? lineOf.get(one.codec).label : "original");
  const frame = () => Number(slider.value);

  function image(uri) {
    if (!images.has(uri)) {
      const found = new Image();
      found.onload = drawStage;
      found.src = uri;
      images.set(uri, found);
    }
    return images.get(uri);
  }

  function drawStage() {
    const context = stage.getContext("2d");
    const [left, right] = ["left", "right"].map((side) => image(chosen(side).uris[frame()]));
    const at = Math.round(cut * clip.width);
    const ready = (one) => one.complete && one.naturalWidth;
    if (!ready(left) || !ready(right)) return; // onload draws it
    context.drawImage(left, 0, 0);
    if (at < clip.width) context.drawImage(right, at, 0, clip.width - at, clip.height, at, 0, clip.width - at, clip.height);
    context.fillStyle = "#fff";
    context.fillRect(at - 0.5, 0, 1, clip.height);
    stage.dataset.drawn = String(frame());
  }

  function drawFrame() {
    const metric = axis();
    const last = clip.uris.length;
    $("player-number").textContent = `frame ${frame() + 1} of ${last}`;
    const mean = (values) => (values.includes(null) ? null : values.reduce((a, b) => a + b, 0) / values.length);
    $("player-table").replaceChildren(
      el("thead", {}, el("tr", {}, ...["codec", "quality", "bytes", `mean ${metric.title}`, "this frame, bytes", `this frame, ${metric.title}`]
        .map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {},
        ...clip.played.map((one) => el("tr", {}, el("th", { scope: "row" }, ...name(lineOf.get(one.codec))),
          el("td", {}, String(one.quality)), el("td", {}, count(one.bytes)), el("td", {}, quality(mean(one.metrics[metric.name]), metric)),
          el("td", {}, count(one.sizes[frame()])), el("td", {}, quality(one.metrics[metric.name][frame()], metric)))),
        ...Object.entries(clip.missing).map(([codec, reason]) => el("tr", {}, el("th", { scope: "row" }, ...name(lineOf.get(codec))),
          el("td", { class: "text", colspan: "5" }, reason)))));
    drawStage();
  }

  function move(to) {
    slider.value = String((to + clip.uris.length) % clip.uris.length);
    drawFrame();
  }

  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => move(frame() + 1), 1000 / Number($("player-speed").value)) : null;
    $("player-play").textContent = on ? "stop" : "play";
    $("player-play").setAttribute("aria-pressed", String(on));
  }

  function drawClip() {
    stage.width = clip.width;
    stage.height = clip.height;
    slider.max = String(clip.uris.length - 1);
    slider.value = "0";
    for (const [side, wanted] of [["left", 1], ["right", 2]]) {
      const options = choices();
      menus[side].replaceChildren(...options.map((one) => el("option", { value: one.codec },
        one.codec ? `${title(one)}, ${count(one.bytes)} bytes` : "original")));
      menus[side].selectedIndex = Math.min(options.length - 1, wanted);
    }
    $("player-note").textContent = `${clip.clip}${clip.note ? " (" + clip.note + ")" : ""}: at most ${count(clip.target)} bytes. Shown is the middle, ${clip.width} \u00d7 ${clip.height} pixels; bytes and values are of the whole.`;
    for (const one of choices()) one.uris.forEach(image);
    drawFrame();
  }

  function pull(event) {
    const box = stage.getBoundingClientRect();
    cut = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    drawStage();
  }
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); pull(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons & 1) pull(event); });
  stage.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: () => move(frame() - 1), ArrowRight: () => move(frame() + 1), " ": () => play(timer === null) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  slider.addEventListener("input", drawFrame);
  for (const menu of Object.values(menus)) menu.addEventListener("change", drawStage);
  $("player-play").addEventListener("click", () => play(timer === null));
  $("player-speed").addEventListener("change", () => { if (timer !== null) play(true); });
  const clipChoice = $("player-clip");
  clipChoice.replaceChildren(...report.played.map((one) => el("option", { value: one.clip }, one.clip)));
  clipChoice.addEventListener("change", () => {
    clip = report.played[clipChoice.selectedIndex];
    drawClip();
  });
  if (clip) drawClip();
  else $("player").hidden = true;
  return () => {
    drawFrames();
    if (clip) drawFrame();
  };
};
