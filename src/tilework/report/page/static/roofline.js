// The roofs of the machines, the layers on them at their bounds, and below the first what the simulation reached.
const ROOF_COLOURS = ["--accent", "#d9822b", "#3f8f5b", "#a4483e", "#7a5ba6", "#8a6d3b", "#4c9aa5", "#b05c8e"];
const roofColour = (n) => (n % ROOF_COLOURS.length ? ROOF_COLOURS[n % ROOF_COLOURS.length] : css("--accent"));

// Every point: at which machine, whether it is what was reached, and where it lies.
function roofPoints() {
  const { roofs, layers, nodes } = data, points = [];
  roofs.forEach((roof, machine) => roof.operations.forEach((operations, node) => {
    if (!operations || !roof.bytes[node]) return;
    const x = operations / roof.bytes[node];
    points.push({ machine, node, x, y: Math.min(roof.peak, x * roof.bandwidth), seconds: roof.time[node], reached: false });
  }));
  layers.name.forEach((_, layer) => {
    const node = layers.main[layer], seconds = layers.cycles[layer] / data.clock;
    if (node < 0 || !layers.macs[layer] || !layers.dram_bytes[layer] || !seconds) return;
    const operations = 2 * layers.macs[layer];
    points.push({ machine: 0, node, layer, x: operations / layers.dram_bytes[layer], y: operations / seconds, seconds, reached: true });
  });
  return points.sort((a, b) => b.seconds - a.seconds);
}

function rooflineView() {
  const { roofs } = data, box = $("roofs"), every = roofPoints();
  if (!roofs.length) return why("roofline", `There is no roof: ${data.no_roof}.`);
  if (!every.length) return why("roofline", "No layer of this network has multiply-accumulates, so that none has a place under a roof.");
  const shown = new Set(roofs.keys()), svg = d3.select(box).append("svg"), clip = svg.append("clipPath").attr("id", "under").append("rect");
  const grid = svg.append("g").attr("class", "grid"), axes = [svg.append("g"), svg.append("g")], plot = svg.append("g").attr("clip-path", "url(#under)");
  const titles = [svg.append("text").attr("class", "soft"), svg.append("text").attr("class", "soft")];
  const left = 58, right = 12, top = 20, bottom = 36, reaches = every.some((p) => p.reached);
  let width = 0, height = 0, x, y, frame;
  const zoom = d3.zoom().scaleExtent([1, 60]).filter((event) => event.type !== "wheel" || event.ctrlKey || event.metaKey || event.shiftKey)
    .on("zoom", ({ transform }) => { [x, y] = [transform.rescaleX(frame[0]), transform.rescaleY(frame[1])]; paint(); });

  function draw() {
    width = box.clientWidth;
    height = Math.max(280, Math.min(440, width * 0.55));
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("height", height);
    const places = every.filter((p) => shown.has(p.machine)), knees = roofs.map((roof) => roof.peak / roof.bandwidth);
    const [low, high] = d3.extent([...places.map((p) => p.x), ...knees]), floor = d3.min([...places.map((p) => p.y), ...roofs.map((r) => r.bandwidth * low)]);
    frame = [
      d3.scaleLog([low / 2, high * 2], [left, width - right]),
      d3.scaleLog([floor / 2, d3.max(roofs, (roof) => roof.peak) * 2], [height - bottom, top]),
    ];
    [x, y] = frame;
    clip.attr("x", left).attr("y", top).attr("width", width - left - right).attr("height", height - top - bottom);
    zoom.extent([[left, top], [width - right, height - bottom]]).translateExtent([[left, top], [width - right, height - bottom]]);
    svg.call(zoom).call(zoom.transform, d3.zoomIdentity);
  }

  function paint() {
    axes[0].attr("transform", `translate(0,${height - bottom})`).call(d3.axisBottom(x).tickFormat((v) => (isRound(v, x.domain()) ? d3.format(",~g")(v) : "")).tickSizeOuter(0));
    axes[1].attr("transform", `translate(${left},0)`).call(d3.axisLeft(y).ticks(5).tickFormat((v) => (isRound(v, y.domain()) ? quantity(v) : "")).tickSizeOuter(0));
    grid.selectAll("line").data(y.ticks().filter((v) => isRound(v, y.domain()))).join("line").attr("x1", left).attr("x2", width - right).attr("y1", y).attr("y2", y);
    titles[0].attr("x", width - right).attr("y", height - 4).attr("text-anchor", "end").text("operations for each byte to and from memory");
    titles[1].attr("x", 4).attr("y", 11).text("operations a second");
    const [a, b] = x.domain();
    const line = (roof) => d3.line()([a, roof.peak / roof.bandwidth, b].filter((v) => v >= a && v <= b).map((v) => [x(v), y(Math.min(roof.peak, v * roof.bandwidth))]));
    plot.selectAll(".roof").data([...shown]).join("path").attr("class", "roof").attr("stroke", roofColour).attr("d", (n) => line(roofs[n]));
    const longest = d3.max(every, (p) => p.seconds), radius = (p) => 3 + 6 * Math.sqrt(p.seconds / longest);
    plot.selectAll("circle").data(every.filter((p) => shown.has(p.machine)), (p) => `${p.machine} ${p.node} ${p.layer}`).join("circle")
      .attr("cx", (p) => x(p.x)).attr("cy", (p) => y(p.y)).attr("r", radius).attr("stroke", (p) => roofColour(p.machine)).attr("fill", (p) => (p.reached ? familyColour(p.node) : null))
      .on("click", (_, p) => select(p.node, { from: "roofline" })).on("pointermove", say).on("pointerleave", tip.hide);
    plot.selectAll("circle").filter((p) => p.reached).raise();
    name();
    mark();
  }

  // The names of the layers that take longest on the page's machine, as far as they have room.
  function name() {
    const taken = [], points = every.filter((p) => p.machine === 0 && shown.has(0) && p.reached === reaches).slice(0, 40);
    const labels = [];
    for (const p of points) {
      const text = cut(data.nodes.name[p.node], 120), at = { x: x(p.x), y: y(p.y) + 24 + 13 * (labels.length % 3), width: 6 * text.length + 8 };
      if (at.y > height - bottom - 4) at.y = y(p.y) - 16;
      const free = (one) => Math.abs(one.y - at.y) > 12 || at.x - at.width / 2 > one.x + one.width / 2 || one.x - one.width / 2 > at.x + at.width / 2;
      if (at.x > left + at.width / 2 && at.x < width - right - at.width / 2 && taken.every(free)) { taken.push(at); labels.push({ text, ...at }); }
      if (labels.length === (width < 600 ? 3 : 8)) break;
    }
    plot.selectAll(".name").data(labels).join("text").attr("class", "name soft").attr("text-anchor", "middle").attr("x", (l) => l.x).attr("y", (l) => l.y).text((l) => l.text);
  }

  function say(event, p) {
    const roof = roofs[p.machine], what = p.reached ? "simulated" : `at most, on ${roof.machine}`;
    tip.show(event, p.reached ? data.layers.name[p.layer] : data.nodes.name[p.node], `${what}: ${quantity(p.y, "op/s")}, ${share(p.y / roof.peak)} of the peak`,
      `${quantity(p.x)} operations a byte, ${quantity(p.seconds, "s")}`, p.reached ? "" : `bound by ${roof.bound_by[p.node]}`);
  }

  function mark() {
    if (!frame) return;
    const chosen = every.filter((p) => p.machine === 0 && (p.node === selection.node || (p.reached && isKin(p.node))));
    plot.selectAll("circle").attr("class", (p) => `point ${p.reached ? "" : "bound"} ${markOf(p.node)}`).filter((p) => p.node === selection.node).raise();
    const reached = chosen.find((p) => p.reached), roof = roofs[0];
    plot.selectAll(".gap").data(reached ? [reached] : []).join("line").attr("class", "gap")
      .attr("x1", (p) => x(p.x)).attr("x2", (p) => x(p.x)).attr("y1", (p) => y(p.y)).attr("y2", (p) => y(Math.min(roof.peak, p.x * roof.bandwidth)));
  }

  const zoomBy = (by) => (by ? svg.call(zoom.scaleBy, by) : svg.call(zoom.transform, d3.zoomIdentity));
  $("roof-tools").append(...zoomButtons(zoomBy));
  const item = (roof, n) => make("li", {}, make("label", {},
    make("input", { type: "checkbox", checked: true, onchange: (event) => { shown[event.target.checked ? "add" : "delete"](n); draw(); } }),
    make("i", { style: `background:${n ? roofColour(n) : "var(--accent)"};margin-left:6px` }), `${roof.machine}, ${roof.dtype}: ${quantity(roof.peak, "op/s")}, ${quantity(roof.bandwidth, "B/s")}`));
  box.after(make("ul", { class: "legend" }, ...roofs.map(item)), make("p", { class: "say" }, roofCaption()));
  arrows(box, zoomBy);
  selection.views.push(mark);
  redraw(box, draw);
}

function roofCaption() {
  const said = "A ring is a layer at the most that its machine allows, at the bytes that it must move at least; the larger, the longer it takes.";
  return data.layers.name.length ? `${said} A disc is what the simulation reached with the bytes that it really moved, in the colour of the layer's family.` : said;
}

// Powers of ten, and where there are few of them in sight, also 2 and 5 times these.
function isRound(value, [low, high]) {
  const first = Number(value.toExponential()[0]), even = Math.abs(value / 10 ** Math.round(Math.log10(value)) - 1) < 1e-9;
  return even || (high / low < 100 && (first === 2 || first === 5) && Math.abs(value / 10 ** Math.floor(Math.log10(value)) - first) < 1e-9);
}

const zoomButtons = (zoom) => [["−", 1 / 1.5, "Zoom out"], ["+", 1.5, "Zoom in"], ["all", 0, "All of it"]].map(([text, by, label]) =>
  make("button", { type: "button", "aria-label": label, onclick: () => zoom(by) }, text));
