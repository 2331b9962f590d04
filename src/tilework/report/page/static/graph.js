// The network as a graph, laid out by dagre: boxes are layers or closed modules; a click opens or selects.
function graphView() {
  const root = moduleTree(), holder = $("nodes"), svg = d3.select(holder).append("svg"), stage = svg.append("g"), HEIGHT = 40;
  const lines = stage.append("g").attr("class", "edges"), boxes = stage.append("g").attr("class", "nodes");
  let open = firstOpen(root, 70), found, place = [], paths = [], built = false, height = 0;
  svg.append("defs").append("marker").attr("id", "tip-of-edge").attr("viewBox", "0 0 8 8").attr("refX", 7).attr("refY", 4).attr("markerWidth", 7).attr("markerHeight", 7).attr("orient", "auto")
    .append("path").attr("d", "M0 1 7 4 0 7z").attr("fill", "var(--soft)");
  const zoom = d3.zoom().scaleExtent([0.03, 3]).filter((event) => event.type !== "wheel" || event.ctrlKey || event.metaKey || event.shiftKey).on("zoom", ({ transform }) => stage.attr("transform", transform));
  svg.call(zoom).on("dblclick.zoom", null);

  const width = (box) => Math.max(92, Math.min(210, 26 + 6.6 * Math.max(title(box).length, about(box).length)));
  const title = (box) => endOf(box.children ? moduleName(box) : data.nodes.name[box.node], 26);
  const about = (box) => (box.children ? `${whole(box.size)} layer${box.size > 1 ? "s" : ""}` : `${data.nodes.operation[box.node]} ${shapeText(data.nodes.shape[box.node])}`);

  function layout() {
    found = visibleBoxes(root, open);
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ ranksep: 26, nodesep: 22, edgesep: 12, marginx: 12, marginy: 12 });
    graph.setDefaultEdgeLabel(() => ({}));
    found.boxes.forEach((box, i) => graph.setNode(String(i), { width: width(box), height: HEIGHT }));
    for (const [from, to] of found.edges) graph.setEdge(String(from), String(to));
    dagre.layout(graph);
    place = found.boxes.map((_, i) => graph.node(String(i)));
    paths = found.edges.map(([from, to]) => ({ from, to, points: graph.edge(String(from), String(to)).points }));
    built = true;
    paint();
  }

  function paint() {
    const curve = d3.line((p) => p.x, (p) => p.y).curve(d3.curveMonotoneY);
    lines.selectAll("path").data(paths).join("path").attr("d", (e) => curve(e.points)).attr("marker-end", "url(#tip-of-edge)");
    const groups = boxes.selectAll("g").data(found.boxes, (box) => box.key ?? box.node).join((enter) => {
      const g = enter.append("g");
      g.filter((box) => box.children).append("rect").attr("class", "stack").attr("x", 4).attr("y", 4).attr("rx", 5);
      g.append("rect").attr("class", "body").attr("rx", 5);
      g.append("rect").attr("class", "tint").attr("rx", 5);
      g.append("rect").attr("class", "kindbar").attr("width", 5).attr("rx", 2);
      g.append("text").attr("x", 13).attr("y", 17).style("font-weight", 600);
      g.append("text").attr("x", 13).attr("y", 31).attr("class", "soft");
      return g;
    });
    groups.attr("transform", (box, i) => `translate(${place[i].x - place[i].width / 2},${place[i].y - HEIGHT / 2})`).attr("data-node", (box) => box.node ?? null)
      .on("click", (_, box) => (box.children ? toggle(box) : select(box.node, { from: "graph" })))
      .on("pointermove", (event, box) => tip.show(event, box.children ? moduleName(box) : data.nodes.name[box.node], about(box), box.children ? "click to open" : "")).on("pointerleave", tip.hide);
    groups.selectAll(".body, .stack, .tint").attr("width", (box) => width(box)).attr("height", HEIGHT);
    groups.select(".kindbar").attr("height", HEIGHT).style("fill", (box) => (box.children ? "#8899aa" : familyColour(box.node)));
    groups.select(".tint").style("fill", (box) => (box.children ? "none" : familyColour(box.node)));
    groups.select("text:nth-of-type(1)").text((box) => cut(title(box), width(box) - 18, 6.6));
    groups.select("text:nth-of-type(2)").text((box) => cut(about(box), width(box) - 18, 6));
    crumbs();
    mark();
  }

  function toggle(module) {
    open[open.has(module) ? "delete" : "add"](module);
    layout();
    const at = found.boxes.findIndex((box) => box === module || box.parent === module);
    if (at >= 0) centre(at, d3.zoomTransform(svg.node()).k);
  }

  function crumbs() {
    const modules = [...open].filter((module) => module !== root && !(module.parent && !open.has(module.parent)));
    const close = (module) => make("button", { type: "button", title: "Close this module", onclick: () => toggle(module) }, `${endOf(moduleName(module), 26)} ×`);
    $("opened").replaceChildren(...(modules.length > 12 ? [make("button", { type: "button", onclick: () => { open = new Set([root]); layout(); fit(); } }, `close ${modules.length} modules`)] : modules.map(close)));
  }

  function mark(from) {
    if (!built) return;
    const chosen = selection.node < 0 ? -1 : found.box[selection.node], kin = new Set(data.nodes.name.flatMap((_, node) => (isKin(node) ? [found.box[node]] : [])));
    boxes.selectAll("g").attr("class", (_, i) => (i === chosen ? "marked" : kin.has(i) ? "kin" : ""));
    lines.selectAll("path").attr("class", (edge) => (edge.from === chosen || edge.to === chosen ? "marked" : ""));
    if (from !== undefined && from !== "graph" && chosen >= 0) reveal();
  }

  // Opens what the selected layer lies in, and brings it to the middle.
  function reveal() {
    const path = [], find = (box) => { for (let at = box; at; at = at.parent) path.push(at); };
    const leafOf = (module) => { for (const child of module.children) { if (child.node === selection.node) return child; const deep = child.children && leafOf(child); if (deep) return deep; } return null; };
    find(leafOf(root));
    const closed = path.filter((box) => box.children && !open.has(box));
    for (const module of closed) open.add(module);
    if (closed.length) layout();
    centre(found.box[selection.node]);
  }

  function centre(at, scale) {
    const k = scale ?? Math.max(0.7, d3.zoomTransform(svg.node()).k);
    svg.call(zoom.transform, d3.zoomIdentity.translate(holder.clientWidth / 2, height / 2).scale(k).translate(-place[at].x, -place[at].y));
  }

  // All of the graph, or, where that would be too small to read, its beginning.
  function fit(least = 0.75) {
    const right = d3.max(place, (p) => p.x + p.width / 2) ?? 1, bottom = d3.max(place, (p) => p.y + HEIGHT / 2) ?? 1;
    const k = Math.min(1.2, Math.max(least, Math.min(holder.clientWidth / (right + 24), height / (bottom + 24))));
    const first = place.length ? place[0].x : 0, x = k * right < holder.clientWidth ? (holder.clientWidth - k * right) / 2 : holder.clientWidth / 2 - k * first;
    svg.call(zoom.transform, d3.zoomIdentity.translate(x, 8).scale(k));
  }

  function draw() {
    height = holder.clientWidth < 600 ? 420 : 560;
    svg.attr("height", height).attr("viewBox", `0 0 ${holder.clientWidth} ${height}`);
    if (!built) layout();
    if (selection.node >= 0) reveal();
    else fit();
  }

  const zoomBy = (by) => (by ? svg.call(zoom.scaleBy, by) : fit(0));
  $("graph-tools").append(...zoomButtons(zoomBy));
  holder.after(make("ul", { class: "legend" }, ...$("families").cloneNode(true).childNodes),
    make("p", { class: "say" }, "A box with a shadow is a closed module: click to open it, or on its name above to close it. Drag to move; zoom with the buttons or with Ctrl and the wheel."));
  arrows(holder, zoomBy);
  selection.views.push((from) => mark(from ?? ""));
  redraw(holder, draw);
}
