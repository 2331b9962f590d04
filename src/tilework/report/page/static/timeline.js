// The simulated run: a row for each unit, from the whole of it down to one instruction.
function timelineView(time, code) {
  const { rows, owner } = readRows(time, code), { layers } = data, box = $("time"), canvas = box.appendChild(make("canvas")), context = canvas.getContext("2d");
  const ROW = rows.length > 8 ? 20 : 28, GAP = 8, AXIS = 24, several = new Set(rows.map((row) => row.stream)).size > 1;
  const tops = [], band = AXIS + 2;
  let y = band + ROW + GAP;
  rows.forEach((row, i) => { if (i && row.stream !== rows[i - 1].stream) y += GAP; tops.push(y); y += ROW; });
  const height = y + 4, label = (place) => code.lines[code.instructions[place]];
  let width = 0, left = 0, full, x, focus = { row: 0, event: -1 };
  const layerColour = (layer) => (layer < 0 || layers.main[layer] < 0 ? "#8899aa" : d3.color(familyColour(layers.main[layer]))[layer % 2 ? "darker" : "brighter"](0.25).formatHex());
  const zoom = d3.zoom().filter((event) => (event.type !== "wheel" || event.ctrlKey || event.metaKey || event.shiftKey) && event.type !== "dblclick")
    .on("zoom", ({ transform }) => { x = transform.rescaleX(full); paint(); });

  function draw() {
    width = box.clientWidth;
    left = width < 520 ? 64 : several ? 108 : 70;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    full = d3.scaleLinear([0, time.cycles], [left, width - 8]);
    zoom.extent([[left, 0], [width - 8, height]]).translateExtent([[left, 0], [width - 8, height]]).scaleExtent([1, Math.max(1, time.cycles / 20)]);
    d3.select(canvas).call(zoom);
    x = d3.zoomTransform(canvas).rescaleX(full);
    paint();
  }

  function paint() {
    if (!x) return;
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    paintAxis();
    context.save();
    context.beginPath();
    context.rect(left, 0, width - left - 8, height);
    context.clip();
    paintLayers();
    const view = { x, left, right: width - 8 };
    rows.forEach((row, i) => {
      paintRow(context, row, view, { top: tops[i] + 2, height: ROW - 4, length: time.length, owner, colour: layerColour, label });
      if (time.until < time.cycles) paintRest(row, tops[i]);
    });
    paintFocus();
    context.restore();
  }

  function paintAxis() {
    context.textBaseline = "alphabetic";
    const [soft, line] = [css("--soft"), css("--line")];
    for (const tick of x.ticks(Math.max(2, (width - left) / 120))) {
      context.fillStyle = line;
      context.fillRect(x(tick), AXIS - 6, 1, height);
      context.fillStyle = soft;
      if (x(tick) < width - 60) context.fillText(width < 700 ? quantity(tick) : whole(tick), x(tick) + 3, 14);
    }
    context.fillStyle = soft;
    context.fillText("cycles", 4, 14);
    context.fillText("layers", 4, band + ROW / 2 + 4);
    rows.forEach((row, i) => {
      context.fillStyle = i === focus.row && focus.event >= 0 ? css("--mark") : soft;
      const name = several ? `${width < 520 ? row.stream.replace(/(\w)\w+ /, "$1") : row.stream} ${row.unit}` : row.unit;
      context.fillText(cut(name, left - 6, 5.4), 4, tops[i] + ROW / 2 + 4);
    });
  }

  function paintLayers() {
    const chosen = selection.node < 0 ? -1 : data.nodes.layer[selection.node];
    layers.name.forEach((name, layer) => {
      const a = x(layers.start[layer]), b = x(layers.end[layer]);
      if (b < left || a > width || b - a < 0.1) return;
      context.fillStyle = layerColour(layer);
      context.fillRect(a, band, Math.max(0.6, b - a - 0.6), ROW);
      if (layer === chosen) {
        context.fillStyle = css("--mark-back");
        context.fillRect(a, band + ROW, Math.max(2, b - a), height);
        context.fillStyle = css("--mark");
        context.fillRect(a, band + ROW, Math.max(2, b - a), 3);
      }
      const shown = Math.max(a, left), room = Math.min(b, width - 8) - shown - 8;
      context.fillStyle = inkOn(layerColour(layer));
      if (room > 24) context.fillText(cut(name, room, 6), shown + 4, band + ROW / 2 + 4);
    });
  }

  // Beyond what was simulated one by one: the mean of each layer, which is exact.
  function paintRest(row, top) {
    const alike = rows.filter((other) => other.unit === row.unit).length;
    layers.name.forEach((_, layer) => {
      const start = Math.max(time.until, layers.start[layer]), end = layers.end[layer];
      if (end <= start || end < x.domain()[0] || start > x.domain()[1]) return;
      const busy = (layers.busy[row.unit]?.[layer] ?? 0) / alike / Math.max(1, end - layers.start[layer]);
      context.fillStyle = layerColour(layer);
      context.fillRect(x(start), top + ROW - 2 - (ROW - 4) * Math.min(1, busy), Math.max(0.5, x(end) - x(start)), (ROW - 4) * Math.min(1, busy));
    });
  }

  function paintFocus() {
    const row = rows[focus.row];
    if (focus.event < 0 || !row) return;
    const start = row.starts[focus.event], a = x(start), b = x(start + lasting(row, time.length, focus.event));
    context.strokeStyle = css("--mark");
    context.lineWidth = 2;
    context.strokeRect(a - 1, tops[focus.row] + 1, Math.max(3, b - a + 1), ROW - 2);
  }

  function under(event) {
    const [px, py] = d3.pointer(event, canvas), cycle = x.invert(px);
    if (px < left) return {};
    if (py >= band && py < band + ROW) return { layer: layerAt(cycle) };
    const row = tops.findIndex((top) => py >= top && py < top + ROW);
    if (row < 0) return {};
    const slack = (x.invert(px + 1) - cycle) / 2, found = eventAt(rows[row], time.length, cycle);
    const near = found >= 0 ? found : eventAt(rows[row], time.length, cycle + slack);
    if (near >= 0) return { row, event: near, layer: owner[rows[row].places[near]] };
    const bar = barAt(rows[row], cycle);
    return { row, bar, layer: bar >= 0 ? rows[row].bars.layer[bar] : cycle >= time.until ? layerAt(cycle) : -1 };
  }

  const layerAt = (cycle) => layers.start.findIndex((start, i) => cycle >= start && cycle < layers.end[i]);

  function sentence({ row, event, bar, layer }) {
    const name = layer >= 0 ? layers.name[layer] : "";
    if (event >= 0) {
      const { starts, places, stream, unit } = rows[row], place = places[event], start = starts[event], cycles = lasting(rows[row], time.length, event);
      return [`${name}  ·  ${several ? `${stream} ` : ""}${unit}`, `cycles ${whole(start)} to ${whole(start + cycles)} (${whole(cycles)})`, label(place)];
    }
    if (bar >= 0) {
      const { start, end, busy, count } = rows[row].bars;
      return [`${name}  ·  ${rows[row].unit}`, `${whole(count[bar])} instructions together, cycles ${whole(start[bar])} to ${whole(end[bar])}, busy for ${whole(busy[bar])}`];
    }
    return layer >= 0 ? [name, `cycles ${whole(layers.start[layer])} to ${whole(layers.end[layer])} (${whole(layers.cycles[layer])})`, layers.operation[layer]] : null;
  }

  function choose(found) {
    if (found.event >= 0) focus = { row: found.row, event: found.event };
    const place = found.event >= 0 ? rows[found.row].places[found.event] : -1;
    if (found.layer >= 0 && layers.main[found.layer] >= 0) select(layers.main[found.layer], { place, from: "timeline" });
    read(found);
    paint();
  }

  function read(found) {
    const said = sentence(found);
    if (said) $("readout").replaceChildren(`${said[0]}  ·  ${said[1]}`, ...(said[2] ? [make("br"), make("code", {}, said[2])] : []));
  }

  function show(from, to) {
    const k = Math.max(1, Math.min(zoom.scaleExtent()[1], (time.cycles / Math.max(20, to - from))));
    d3.select(canvas).call(zoom.transform, d3.zoomIdentity.translate(left, 0).scale(k).translate(-full(from), 0));
  }

  function zoomBy(by) {
    if (!by) d3.select(canvas).call(zoom.transform, d3.zoomIdentity);
    else if (focus.event >= 0) d3.select(canvas).call(zoom.scaleBy, by, [Math.max(left, Math.min(width, x(rows[focus.row].starts[focus.event]))), 0]);
    else d3.select(canvas).call(zoom.scaleBy, by);
  }

  // Left and right go to the next instruction of the row, up and down to the one of another row at that time.
  function move(rowBy, by) {
    const next = Math.max(0, Math.min(rows.length - 1, focus.row + rowBy)), cycle = focus.event < 0 ? x.domain()[0] : rows[focus.row].starts[focus.event];
    const event = rowBy || focus.event < 0 ? Math.max(0, d3.bisectRight(rows[next].starts, cycle) - 1) : Math.max(0, Math.min(rows[next].starts.length - 1, focus.event + by));
    if (!rows[next].starts.length) return;
    focus = { row: next, event };
    const start = rows[next].starts[event], [from, to] = x.domain();
    if (start < from || start > to) show(start - (to - from) / 2, start + (to - from) / 2);
    read({ row: next, event, layer: owner[rows[next].places[event]] });
    paint();
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [0, 20], PageUp: [0, -20] }, zooms = { "+": 2, "=": 2, "-": 0.5, 0: 0 };
    if (event.key in moves) move(...moves[event.key]);
    else if (event.key in zooms) zoomBy(zooms[event.key]);
    else if (event.key === "Enter" && focus.event >= 0) choose({ ...focus, layer: owner[rows[focus.row].places[focus.event]] });
    else return;
    event.preventDefault();
  });
  d3.select(canvas).on("pointermove", (event) => {
    const said = sentence(under(event));
    if (said) tip.show(event, ...said);
    else tip.hide();
  }).on("pointerleave", tip.hide).on("click", (event) => choose(under(event)));

  function toLayer() {
    if (!x) return;
    const layer = selection.node < 0 ? -1 : data.nodes.layer[selection.node];
    if (layer >= 0) show(layers.start[layer], layers.end[layer]);
  }

  const tools = [make("button", { type: "button", onclick: toLayer }, "to the layer"), ...zoomButtons((by) => zoomBy(by > 1 ? 2 : by && 0.5))];
  $("time-tools").append(...tools);
  $("shown").textContent = timelineCaption(time);
  $("readout").textContent = "Point at a bar to see its instruction; zoom with the buttons, with + and −, or with Ctrl and the wheel, and drag to move.";
  selection.views.push((from) => { if (from !== "timeline") paint(); });
  redraw(box, draw);
}

function timelineCaption(time) {
  const parts = [`${whole(time.shown)} of ${whole(time.events)} executions of instructions are here one by one`];
  if (time.shown < time.events) parts.push(`the first ${whole(time.first)} of each layer on each unit, the others together in bars of ${whole(time.width)} cycles`);
  if (time.until < time.cycles) parts.push(`from cycle ${whole(time.until)} on the rows show each layer's mean, as the run is too long to be simulated one by one`);
  return `${parts.join("; ")}.`;
}
