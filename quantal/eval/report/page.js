"use strict";
// Draws what follows the chosen metric, and the side-by-side views. Plotly is the only helper, and
// the JSON in #report-data the only input; nothing is fetched.
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const $ = (id) => document.getElementById(id);
  const lineOf = new Map(report.lines.map((line) => [line.name, line]));
  const metricMenu = $("metric");
  const axis = () => report.axes[metricMenu.selectedIndex];

  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "style") node.style.cssText = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  // ---- numbers as text ------------------------------------------------------------------------
  const minus = (text) => text.replace("-", "\u2212");
  const percent = (value, digits = 1) =>
    minus((value > 0 ? "+" : "") + value.toFixed(digits)) + "\u202f%";
  const seconds = (value) => (value === null ? "" : value < 0.0995 ? value.toFixed(3) : value.toPrecision(3));
  const count = (value) => value.toLocaleString("en");
  function quality(value, metric) {
    if (value === null || value === undefined) return "\u2013";
    const digits = metric.unit === "dB" || Math.abs(value) > 2 ? 2 : 4;
    return minus(value.toFixed(digits)) + (metric.unit ? "\u202f" + metric.unit : "");
  }
  function restsOn(found) {
    // Compared values are on the axis' scale; of metrics of which less is better, negated.
    const metric = axis();
    const ends = (metric.turned ? [-found.high, -found.low] : [found.low, found.high]).map((v) => minus(v.toPrecision(4)));
    const unit = metric.decibels ? "\u202fdB" : metric.unit ? "\u202f" + metric.unit : "";
    const share = `${Math.round(100 * found.overlap)}\u202f% of the shorter curve`;
    const spread = found.interval ? `, 95\u202f% between ${percent(found.interval[0])} and ${percent(found.interval[1])}` : "";
    return `${percent(found.percent, 2)}${spread}; rests on ${metric.title} ${ends[0]} to ${ends[1]}${unit}, ${share}${found.note ? "; " + found.note : ""}`;
  }

  function name(line) {
    return [el("span", { class: line.published ? "dot published" : "dot", style: `--own:${line.colour}` }), line.label];
  }

  // ---- charts ---------------------------------------------------------------------------------
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const css = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();

  function layout(extra) {
    const lines = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--faint"), ticks: "" };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: css("--sans"), size: 13, color: css("--soft") },
      margin: { l: 64, r: 16, t: 12, b: 52 },
      hoverlabel: { bgcolor: css("--sheet"), bordercolor: css("--line"), font: { color: css("--ink"), family: css("--sans") } },
      showlegend: false,
    };
    const merged = { ...base, ...extra };
    merged.xaxis = { ...lines, automargin: true, ...extra.xaxis };
    merged.yaxis = { ...lines, automargin: true, ...extra.yaxis };
    return merged;
  }

  function drawCurves() {
    const metric = axis();
    const log = document.querySelector("input[name=rate]:checked").value === "log";
    const traces = report.lines
      .filter((line) => line.drawn[metric.name].some((value) => value !== null))
      .map((line) => ({
        type: "scatter", mode: "lines+markers", name: line.label, x: line.bpp, y: line.drawn[metric.name],
        line: { color: line.colour, width: line.published ? 1.5 : 2.4, dash: line.published ? "dot" : "solid" },
        marker: { size: line.published ? 5 : 7, color: line.colour, symbol: line.published ? "circle-open" : "circle" },
        text: line.bpp.map((bpp, i) => {
          const at = line.quality[i] === null ? "" : `quality ${line.quality[i]}, `;
          return `${at}${bpp.toFixed(3)} bpp, ${metric.title} ${quality(line.values[metric.name][i], metric)}`;
        }),
        hovertemplate: "<b>%{fullData.name}</b><br>%{text}<extra></extra>",
      }));
    Plotly.react("rd-chart", traces, layout({
      showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: css("--ink"), size: 13.5 } },
      hovermode: "closest",
      xaxis: { title: { text: "bits per pixel" }, type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero",
               ...(log ? { dtick: "D2", tickformat: "~g" } : {}) },
      yaxis: { title: { text: metric.axis }, autorange: metric.turned ? "reversed" : true },
    }), config);
  }

  function drawSpeed() {
    const missing = [];
    const traces = [];
    const found = report.lines.map((line) => {
      if (line.name === report.anchor) return [line, 0];
      const own = report.matrix[axis().name][line.name][report.anchor];
      return [line, own && own.percent !== undefined ? own.percent : null];
    });
    for (const [line, delta] of found) {
      if (line.cost.encode_s === null || line.cost.decode_s === null) continue;
      if (delta === null) { missing.push(line.label); continue; }
      const hover = (what, s) => `<b>${line.label}</b><br>${what} ${seconds(s)} s per megapixel<br>${percent(delta)} rate<extra></extra>`;
      traces.push({
        type: "scatter", mode: "lines+markers+text", x: [line.cost.encode_s, line.cost.decode_s], y: [delta, delta],
        line: { color: line.colour, width: 1.5 },
        marker: { size: 12, color: [line.colour, css("--sheet")], line: { color: line.colour, width: 2.5 } },
        text: [line.cost.encode_s >= line.cost.decode_s ? "  " + line.label : "", line.cost.encode_s < line.cost.decode_s ? "  " + line.label : ""],
        textposition: "middle right", textfont: { color: css("--ink") }, cliponaxis: false,
        hovertemplate: [hover("encodes in", line.cost.encode_s), hover("decodes in", line.cost.decode_s)],
      });
    }
    const all = traces.flatMap((trace) => trace.x).map(Math.log10);
    const range = all.length ? [Math.min(...all) - 0.25, Math.max(...all) + 0.9] : undefined;
    Plotly.react("speed-chart", traces, layout({
      xaxis: { title: { text: "seconds per megapixel" }, type: "log", dtick: 1, range },
      yaxis: { title: { text: `BD-rate, ${axis().title} (%)` }, zeroline: true },
      hovermode: "closest",
    }), config);
    $("speed-detail").textContent = missing.length ? `Without a BD-rate against ${lineOf.get(report.anchor).label}: ${missing.join(", ")}.` : "";
  }

  function drawStrip() {
    const own = report.pictures[axis().name];
    const traces = [];
    for (const [codec, pictures] of Object.entries(own)) {
      const line = lineOf.get(codec);
      const known = Object.entries(pictures).filter(([, found]) => found.percent !== undefined);
      traces.push({
        type: "scatter", mode: "markers", x: known.map(([, found]) => found.percent), y: known.map(() => line.label),
        marker: { color: line.colour, size: 15, symbol: "line-ns-open", line: { width: 2.5, color: line.colour } },
        text: known.map(([picture]) => picture),
        hovertemplate: "<b>%{text}</b><br>%{y}: %{x:+.1f} %<extra></extra>",
      });
      const whole = report.matrix[axis().name][codec][report.pictureAnchor];
      if (whole.percent === undefined) continue;
      traces.push({
        type: "scatter", mode: "markers", x: [whole.percent], y: [line.label],
        marker: { color: css("--paper"), size: 11, symbol: "diamond", line: { width: 2, color: line.colour } },
        hovertemplate: `<b>all ${report.called}s</b><br>%{y}: %{x:+.1f} %<extra></extra>`,
      });
    }
    $("strip-chart").style.height = `${90 + 48 * Math.max(Object.keys(own).length, 1)}px`;
    Plotly.react("strip-chart", traces, layout({
      margin: { l: 64, r: 16, t: 4, b: 48 },
      xaxis: { title: { text: `BD-rate against ${report.pictureAnchor} (%)` }, zeroline: true, rangemode: "tozero" },
      yaxis: { autorange: "reversed", gridcolor: css("--line"), tickfont: { color: css("--ink") } },
      hovermode: "closest",
    }), config);
  }

  // ---- tables ---------------------------------------------------------------------------------
  function drawCodecs() {
    const metric = axis();
    const known = (line) => (line.name === report.anchor ? undefined : report.matrix[metric.name][line.name][report.anchor]);
    const ends = report.lines.flatMap((line) => {
      const found = known(line);
      return found && found.percent !== undefined ? [found.percent, ...(found.interval || [])] : [];
    });
    const [least, most] = [Math.min(-1, ...ends), Math.max(1, ...ends)];
    const place = (value) => (100 * (value - least)) / (most - least);
    const rows = report.lines.map((line) => {
      const found = known(line);
      let gauge = null;
      let text = line.name === report.anchor ? "anchor" : "\u2013";
      if (found && found.percent !== undefined) {
        const bar = [0, found.percent].sort((a, b) => a - b).map(place);
        gauge = el("span", { class: "gauge", style: `--own:${line.colour};--zero:${place(0)}%`, "aria-hidden": "true" },
          el("i", { style: `left:${bar[0]}%;width:${bar[1] - bar[0]}%` }),
          found.interval ? el("b", { style: `left:${place(found.interval[0])}%;width:${place(found.interval[1]) - place(found.interval[0])}%` }) : null);
        text = el("span", { class: found.percent < 0 ? "less" : "more", title: restsOn(found) }, percent(found.percent));
      }
      const range = line.bpp.length > 1 ? `${line.bpp[0].toFixed(2)} \u2013 ${line.bpp[line.bpp.length - 1].toFixed(2)}` : line.bpp[0].toFixed(2);
      const memory = line.cost.encode_mb === null ? "" : `${Math.round(line.cost.encode_mb)} / ${line.cost.decode_mb === null ? "?" : Math.round(line.cost.decode_mb)}`;
      return el("tr", {},
        el("th", { scope: "row" }, ...name(line), el("small", { title: line.version }, line.version)),
        el("td", { title: found && found.reason ? found.reason : null }, text), el("td", {}, gauge || ""), el("td", {}, range),
        el("td", {}, seconds(line.cost.encode_s)), el("td", {}, seconds(line.cost.decode_s)), el("td", {}, memory),
        el("td", {}, line.pictures ? String(line.pictures) + (line.leftOut ? ` (${line.leftOut} left out)` : "") : "\u2013"));
    });
    const heads = ["codec", "BD-rate", "with 95\u202f% interval", "bits per pixel", "encode, s/MP", "decode, s/MP", "memory, MB", `${report.called}s`];
    $("codecs-table").replaceChildren(
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows));
    $("codecs-note").textContent = report.anchor
      ? `BD-rate by ${metric.title} against ${lineOf.get(report.anchor).label}: rate needed more (+) or less (\u2212) at equal quality.` : "";
  }

  function coloured(found, attributes) {
    const style = `--s:${Math.min(Math.abs(found.percent), 60).toFixed(0)};--tone:var(${found.percent < 0 ? "--win" : "--lose"})`;
    return el("td", { "data-s": true, style, tabindex: "0", ...attributes }, percent(found.percent));
  }

  function explained(table, detail) {
    const show = (event) => {
      const cell = event.target.closest("td[data-detail]");
      if (cell) detail.textContent = cell.dataset.detail;
    };
    for (const kind of ["pointerover", "focusin", "click"]) table.addEventListener(kind, show);
  }

  function drawMatrix() {
    const own = report.matrix[axis().name];
    const rows = report.lines.map((test) => el("tr", {},
      el("th", { scope: "row" }, ...name(test)),
      ...report.lines.map((anchor) => {
        if (anchor === test) return el("td", { class: "self" }, "\u00b7");
        const found = own[test.name][anchor.name];
        const who = `${test.label} against ${anchor.label}: `;
        if (found.percent === undefined) {
          return el("td", { class: "none", tabindex: "0", title: found.reason, "data-detail": who + found.reason }, "");
        }
        return coloured(found, { "data-detail": who + restsOn(found) });
      })));
    $("matrix-table").replaceChildren(
      el("thead", {}, el("tr", {}, el("td", { class: "self" }), ...report.lines.map((line) => el("th", { scope: "col" }, ...name(line))))),
      el("tbody", {}, ...rows));
    $("matrix-detail").textContent = "\u00a0";
  }

  const sorting = { column: null, down: false };
  function drawRanking() {
    const own = report.pictures[axis().name];
    const codecs = Object.keys(own);
    const pictures = [...new Set(codecs.flatMap((codec) => Object.keys(own[codec])))].sort();
    if (!codecs.includes(sorting.column)) sorting.column = "";
    const key = (picture) => {
      if (sorting.column === "") return 0;
      const found = own[sorting.column][picture];
      return found && found.percent !== undefined ? found.percent : Infinity;
    };
    pictures.sort((a, b) => key(a) - key(b) || (a < b ? -1 : 1));
    if (sorting.down) pictures.reverse();
    const head = (column, label) => el("th",
      { scope: "col", "aria-sort": sorting.column === column ? (sorting.down ? "descending" : "ascending") : null },
      el("button", { type: "button", onclick: () => {
        sorting.down = sorting.column === column && !sorting.down;
        sorting.column = column;
        drawRanking();
      } }, ...label));
    const rows = pictures.map((picture) => el("tr", {}, el("th", { scope: "row" }, picture), ...codecs.map((codec) => {
      const found = own[codec][picture];
      const who = `${picture}, ${lineOf.get(codec).label} against ${report.pictureAnchor}: `;
      if (!found) return el("td", {}, "\u2013");
      if (found.percent === undefined) return el("td", { class: "none", tabindex: "0", title: found.reason, "data-detail": who + found.reason }, "\u2013");
      return coloured(found, { "data-detail": who + restsOn(found) });
    })));
    $("ranking-table").replaceChildren(
      el("thead", {}, el("tr", {}, head("", [report.called]), ...codecs.map((codec) => head(codec, name(lineOf.get(codec)))))),
      el("tbody", {}, ...rows));
  }

  // ---- side by side ---------------------------------------------------------------------------
  function looks() {
    const stage = $("stage");
    const sides = { left: { menu: $("left"), image: $("under") }, right: { menu: $("right"), image: $("over") } };
    const lens = { x: 0.4, y: 0.4 };
    let view = report.views[0];

    const zoom = () => Number(document.querySelector("input[name=zoom]:checked").value);
    const choices = () => [{ codec: "", uri: view.uri }, ...view.shown];
    const chosen = (side) => choices().find((one) => one.codec === sides[side].menu.value) || choices()[0];
    const title = (one) => (one.codec ? lineOf.get(one.codec).label : "original");
    const bpp = (one) => ((8 * one.bytes) / (view.width * view.height)).toFixed(3);

    function cut(value) {
      const at = Math.min(Math.max(value, 0), 100);
      stage.style.setProperty("--cut", `${at}%`);
      $("cut").value = String(at);
    }

    function drawLens() {
      const factor = zoom();
      for (const side of ["left", "right"]) {
        const canvas = $(`lens-${side}`);
        const box = canvas.getBoundingClientRect();
        const dense = window.devicePixelRatio || 1;
        canvas.width = Math.round(box.width * dense);
        canvas.height = Math.round(box.height * dense);
        // Whole device pixels for each of the picture's, so that none is wider than another.
        const size = Math.max(1, Math.round(factor * dense));
        const wide = Math.ceil(canvas.width / size);
        const high = Math.ceil(canvas.height / size);
        const x = Math.round(Math.min(Math.max(lens.x * view.shown_width - wide / 2, 0), Math.max(view.shown_width - wide, 0)));
        const y = Math.round(Math.min(Math.max(lens.y * view.shown_height - high / 2, 0), Math.max(view.shown_height - high, 0)));
        const context = canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        const image = sides[side].image;
        if (image.complete && image.naturalWidth) context.drawImage(image, x, y, wide, high, 0, 0, wide * size, high * size);
        const frame = $("frame").style;
        frame.left = `${(100 * x) / view.shown_width}%`;
        frame.top = `${(100 * y) / view.shown_height}%`;
        frame.width = `${(100 * Math.min(wide, view.shown_width)) / view.shown_width}%`;
        frame.height = `${(100 * Math.min(high, view.shown_height)) / view.shown_height}%`;
      }
    }

    function drawSides() {
      for (const side of ["left", "right"]) {
        const one = chosen(side);
        const { image } = sides[side];
        image.alt = `${view.picture}, ${title(one)}`;
        if (image.src !== one.uri) image.src = one.uri;
        image.decode().then(drawLens, drawLens);
        const figures = one.codec
          ? ` ${count(one.bytes)} bytes, ${bpp(one)} bpp, quality ${one.quality}` : ` ${view.width} \u00d7 ${view.height}`;
        $(`caption-${side}`).replaceChildren(el("strong", {}, `${side}: ${title(one)}`), figures);
      }
    }

    // The place of the best choice by the first metric, the first codec aside: it stands left.
    function best(options) {
      const metric = report.axes[0];
      const value = (one) => { const v = one.metrics[metric.name]; return v === null ? -Infinity : metric.turned ? -v : v; };
      let place = 2;
      for (let i = 3; i < options.length; i += 1) if (value(options[i]) > value(options[place])) place = i;
      return place;
    }

    function drawView() {
      stage.style.aspectRatio = `${view.shown_width} / ${view.shown_height}`;
      stage.style.width = `min(100%, ${(768 * view.shown_width) / view.shown_height}px)`;
      const options = choices();
      for (const [side, wanted] of [["left", 1], ["right", best(options)]]) {
        const { menu } = sides[side];
        const before = menu.value;
        menu.replaceChildren(...options.map((one) => el("option", { value: one.codec },
          one.codec ? `${title(one)}, ${count(one.bytes)} bytes` : "original")));
        if (menu.dataset.ready && options.some((one) => one.codec === before)) menu.value = before;
        else menu.selectedIndex = Math.min(options.length - 1, wanted);
        menu.dataset.ready = "yes";
      }
      const whole = view.shown_width === view.width && view.shown_height === view.height;
      const part = whole ? "" : ` Shown is the middle, ${view.shown_width} \u00d7 ${view.shown_height} of ${view.width} \u00d7 ${view.height} pixels; bytes and values are of the whole.`;
      $("look-note").textContent = `${view.picture}${view.note ? " (" + view.note + ")" : ""}: at most ${count(view.target)} bytes, ${bpp({ bytes: view.target })} bits per pixel.${part}`;
      for (const button of $("thumbs").children) button.setAttribute("aria-pressed", String(button.dataset.picture === view.picture));
      const metrics = report.axes;
      $("looks-table").replaceChildren(
        el("thead", {}, el("tr", {}, ...["codec", "quality", "bytes", "bpp", ...metrics.map((m) => m.title)].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {},
          ...view.shown.map((one) => el("tr", {}, el("th", { scope: "row" }, ...name(lineOf.get(one.codec))), el("td", {}, String(one.quality)),
            el("td", {}, count(one.bytes)), el("td", {}, bpp(one)), ...metrics.map((m) => el("td", {}, quality(one.metrics[m.name], m))))),
          ...Object.entries(view.missing).map(([codec, reason]) => el("tr", {}, el("th", { scope: "row" }, ...name(lineOf.get(codec))),
            el("td", { class: "text", colspan: String(3 + metrics.length) }, reason)))));
      drawSides();
    }

    $("thumbs").replaceChildren(...report.views.map((one) => el("button",
      { type: "button", "data-picture": one.picture, title: one.note || one.picture, "aria-label": one.picture, onclick: () => { view = one; drawView(); } },
      el("img", { src: one.uri, alt: "" }))));
    for (const side of ["left", "right"]) sides[side].menu.addEventListener("change", drawSides);
    $("swap").addEventListener("click", () => {
      [sides.left.menu.value, sides.right.menu.value] = [sides.right.menu.value, sides.left.menu.value];
      drawSides();
    });
    $("cut").addEventListener("input", (event) => cut(Number(event.target.value)));
    for (const radio of document.querySelectorAll("input[name=zoom]")) radio.addEventListener("change", drawLens);

    function follow(event) {
      const box = stage.getBoundingClientRect();
      lens.x = (event.clientX - box.left) / box.width;
      lens.y = (event.clientY - box.top) / box.height;
      if (event.buttons & 1) cut(100 * lens.x);
      drawLens();
    }
    stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); follow(event); });
    stage.addEventListener("pointermove", follow);
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
      if (!step) return;
      event.preventDefault();
      lens.x = Math.min(Math.max(lens.x + step[0] / view.shown_width, 0), 1);
      lens.y = Math.min(Math.max(lens.y + step[1] / view.shown_height, 0), 1);
      drawLens();
    });
    window.addEventListener("resize", drawLens);
    cut(50);
    drawView();
  }

  // ---- all of it ------------------------------------------------------------------------------
  function drawCharts() {
    drawCurves();
    if (report.anchor) drawSpeed();
    drawStrip();
  }
  metricMenu.replaceChildren(...report.axes.map((one) => el("option", { value: one.name }, one.title)));
  const drawClips = window.clipSections
    ? window.clipSections({ report, $, el, axis, layout, config, css, quality, count, name, lineOf }) : () => {};
  function draw() {
    for (const one of [drawCodecs, drawMatrix, drawRanking, drawCharts, drawClips]) one();
  }
  metricMenu.addEventListener("change", draw);
  for (const radio of document.querySelectorAll("input[name=rate]")) radio.addEventListener("change", drawCurves);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  explained($("matrix-table"), $("matrix-detail"));
  explained($("ranking-table"), $("ranking-detail"));
  draw();
  if (report.views.length) looks();
})();
