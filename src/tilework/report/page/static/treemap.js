// A treemap of a cost by module; a click on a module's head opens it, a click on a layer selects it.
const COSTS = {
  cycles: ["simulated cycles", ""], macs: ["multiply-accumulates", ""], time: ["least time on the machine", "s"], bytes: ["bytes moved at least", "B"],
  parameters: ["parameters", ""], parameter_bytes: ["bytes of parameters", "B"], activation_bytes: ["bytes of activations", "B"], neurons: ["neurons", ""],
  multiplications: ["multiplications", ""], additions: ["additions", ""], other: ["other operations", ""],
};

function costOf(key) {
  const [roof] = data.roofs;
  return key === "time" || key === "bytes" ? roof?.[key] ?? [] : data.nodes[key];
}

function treemapView() {
  const box = $("treemap"), svg = d3.select(box).append("svg"), HEAD = 17;
  const costs = Object.keys(COSTS).filter((key) => d3.sum(costOf(key)));
  let opened = [];
  if (!costs.length) return why("modules", "No layer of this network has a cost that is counted, so that there is nothing to divide.");
  $("cost").append(...costs.map((key) => make("option", { value: key }, COSTS[key][0])));
  $("cost").addEventListener("change", draw);

  function tree() {
    const values = costOf($("cost").value), root = { name: data.name, path: [], children: new Map() };
    data.nodes.name.forEach((name, node) => {
      if (!values[node]) return;
      let at = root;
      for (const part of data.nodes.path[node]) {
        if (!at.children.has(part)) at.children.set(part, { name: part, path: [...at.path, part], children: new Map() });
        at = at.children.get(part);
      }
      at.children.set(`\0${node}`, { name, node, value: values[node] });
    });
    let from = root;
    for (const part of opened) from = from.children.get(part) ?? from;
    return d3.hierarchy(from, (d) => d.children && [...d.children.values()]).sum((d) => d.value ?? 0).sort((a, b) => b.value - a.value);
  }

  function draw() {
    const width = box.clientWidth, height = Math.max(260, Math.min(440, width * 0.6)), unit = COSTS[$("cost").value][1];
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("height", height);
    const root = tree(), total = root.value;
    d3.treemap().size([width, height]).paddingTop((d) => (d.x1 - d.x0 > 40 && d.y1 - d.y0 > 34 && d.depth ? HEAD : 1)).paddingInner(1).paddingLeft(1).paddingRight(1).paddingBottom(1).round(true)(root);
    const cells = root.descendants().filter((d) => d.depth && (d.x1 - d.x0) * (d.y1 - d.y0) > 3);
    const about = (d) => [d.data.node === undefined ? d.data.path.join(".") : d.data.name, `${quantity(d.value, unit)}, ${share(d.value / total)}`];
    const groups = svg.selectAll("g").data(cells).join((enter) => {
      const g = enter.append("g");
      g.append("rect");
      return g;
    });
    groups.attr("transform", (d) => `translate(${d.x0},${d.y0})`).attr("data-node", (d) => d.data.node ?? null)
      .on("click", (_, d) => (d.data.node === undefined ? open(d.data.path) : select(d.data.node, { from: "treemap" })))
      .on("pointermove", (event, d) => tip.show(event, ...about(d))).on("pointerleave", tip.hide);
    groups.select("rect").attr("width", (d) => d.x1 - d.x0).attr("height", (d) => d.y1 - d.y0).attr("rx", 2)
      .attr("fill", (d) => (d.data.node === undefined ? null : familyColour(d.data.node)));
    groups.selectAll("text").data((d) => (d.y1 - d.y0 < 15 || d.x1 - d.x0 < 24 ? [] : [d])).join("text").attr("x", 4).attr("y", 12)
      .style("fill", (d) => (d.data.node === undefined ? null : inkOn(familyColour(d.data.node))))
      .text((d) => cut(d.data.node === undefined ? `${withParent(d.data.name, d.data.path.at(-2))}  ${share(d.value / total)}` : ownName(d.data.node), d.x1 - d.x0 - 6));
    crumbs();
    mark();
  }

  function mark() {
    svg.selectAll("g").each(function (d) {
      const kind = d.data.node === undefined ? "" : markOf(d.data.node);
      if (kind === "marked") this.parentNode.append(this);
      this.firstChild.setAttribute("class", d.data.node === undefined ? "module" : kind);
    });
  }

  function open(path) { opened = path; draw(); }

  function crumbs() {
    const parts = [[data.name, []], ...opened.map((part, i) => [part, opened.slice(0, i + 1)])];
    $("crumbs").replaceChildren(...(opened.length ? parts.map(([name, path]) => make("button", { type: "button", onclick: () => open(path) }, name)) : []));
  }

  const used = data.families.filter((family) => family.used);
  $("families").append(...used.map((family) => make("li", {}, make("i", { style: `background:${family.colour}` }), family.name)));
  arrows(box);
  selection.views.push(mark);
  redraw(box, draw);
}
