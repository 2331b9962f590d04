// Bytes of live activations from layer to layer, and what each layer of the program uses of the memories on chip.
function liveView() {
  const { memory, nodes } = data, box = $("live"), count = nodes.name.length, peak = d3.maxIndex(memory.live);
  const chart = stepChart(box, {
    title: "live activations, layer after layer",
    domain: [0, count],
    top: d3.max(memory.live) || 1,
    label: (v) => quantity(v, "B"),
    tick: (v) => (Number.isInteger(v) ? whole(v) : ""),
    series: [{ values: memory.live, from: (i) => i, to: (i) => i + 1, colour: () => css("--accent"), fill: true }],
    nodeAt: (v) => Math.max(0, Math.min(count - 1, Math.floor(v))),
    span: (node) => [node, node + 1],
    about: (node) => [nodes.name[node], `${quantity(memory.live[node], "B")} live`],
  });
  const at = count ? `${quantity(memory.live[peak], "B")} at ${nodes.name[peak]}` : "0 B";
  box.after(make("p", { class: "say" }, `Activations that are still to be read, in the network's order and its own dtypes: at most ${at}. The weights, ${quantity(memory.weights, "B")}, lie beside them.`));
  return chart;
}

function chipView() {
  const { memory, layers, nodes } = data, box = $("chip"), names = Object.keys(memory.capacity), count = layers.name.length;
  if (!count || !data.cycles) {
    box.hidden = true;
    box.after(make("p", { class: "why" }, `What lies on chip is not known: ${data.missing || "the program takes no time"}.`));
    return;
  }
  const colours = { nram: () => css("--accent"), wram: () => "#d9822b", sram: () => "#3f8f5b" };
  stepChart(box, {
    title: "memory on chip in use, over the cycles",
    domain: [0, data.cycles],
    top: 1,
    label: (v) => `${Math.round(100 * v)} %`,
    tick: (v) => quantity(v),
    series: names.map((name) => ({ values: memory.chip[name].map((v) => v / memory.capacity[name]), from: (i) => layers.start[i], to: (i) => layers.end[i], colour: colours[name] })),
    nodeAt: (v) => layers.main[Math.max(0, Math.min(count - 1, d3.bisectRight(layers.start, v) - 1))],
    span: (node) => (nodes.layer[node] < 0 ? null : [layers.start[nodes.layer[node]], layers.end[nodes.layer[node]]]),
    about: (node) => {
      const layer = nodes.layer[node];
      return [layers.name[layer], ...names.map((name) => `${name.toUpperCase()} ${whole(memory.chip[name][layer])} of ${whole(memory.capacity[name])} B`)];
    },
  });
  const item = (name) => make("li", {}, make("i", { style: `background:${colours[name]()}` }), `${name.toUpperCase()}, ${quantity(memory.capacity[name], "B")}`);
  box.after(make("ul", { class: "legend" }, ...names.map(item)), make("p", { class: "say" }, "Bytes that a layer's instructions touch of each memory, of the core that touches most, while the layer runs."));
}

function stepChart(box, chart) {
  const left = 58, right = 12, top = 22, bottom = 22, height = 190, svg = d3.select(box).append("svg");
  const grid = svg.append("g").attr("class", "grid"), axes = [svg.append("g"), svg.append("g")], lines = svg.append("g"), marks = svg.append("g");
  const title = svg.append("text").attr("class", "soft").attr("x", 4).attr("y", 11).text(chart.title);
  let x = d3.scaleLinear(chart.domain, [left, 100]);
  const y = d3.scaleLinear([0, chart.top * 1.05], [height - bottom, top]);

  function draw() {
    const width = box.clientWidth;
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("height", height);
    x = d3.scaleLinear(chart.domain, [left, width - right]);
    axes[0].attr("transform", `translate(0,${height - bottom})`).call(d3.axisBottom(x).ticks(width / 110).tickFormat(chart.tick).tickSizeOuter(0));
    axes[1].attr("transform", `translate(${left},0)`).call(d3.axisLeft(y).ticks(4).tickFormat(chart.label).tickSizeOuter(0));
    grid.selectAll("line").data(y.ticks(4)).join("line").attr("x1", left).attr("x2", width - right).attr("y1", y).attr("y2", y);
    const corners = (series) => series.values.flatMap((v, i) => [[series.from(i), v], [series.to(i), v]]);
    lines.selectAll("path").data(chart.series).join("path").attr("class", (series) => (series.fill ? "area" : "")).attr("fill", (series) => (series.fill ? null : "none")).attr("stroke", (series) => series.colour())
      .attr("stroke-width", 1.6).attr("d", (series) => {
        const points = corners(series).map(([at, v]) => [x(at), y(v)]);
        return d3.line()(series.fill ? [[x(chart.domain[0]), y(0)], ...points, [x(chart.domain[1]), y(0)]] : points);
      });
    mark();
  }

  function mark() {
    const span = selection.node < 0 ? null : chart.span(selection.node);
    marks.selectAll("rect").data(span ? [span] : []).join("rect").attr("class", "band").attr("x", ([a]) => x(a)).attr("y", top).attr("height", height - top - bottom).attr("width", ([a, b]) => Math.max(2, x(b) - x(a)));
  }

  const nodeUnder = (event) => chart.nodeAt(x.invert(d3.pointer(event, svg.node())[0]));
  svg.on("pointermove", (event) => { const node = nodeUnder(event); if (node >= 0) tip.show(event, ...chart.about(node)); })
    .on("pointerleave", tip.hide).on("click", (event) => { const node = nodeUnder(event); if (node >= 0) select(node, { from: "memory" }); });
  arrows(box);
  selection.views.push(mark);
  redraw(box, draw);
}
