// Everything about the selected layer: costs, bounds, simulated time, its nests, its tiling and its program.
function panelView() {
  const panel = $("panel"), { nodes, layers, roofs } = data;

  function draw() {
    const node = selection.node;
    panel.classList.toggle("empty", node < 0);
    if (node < 0) return panel.replaceChildren(make("h2", {}, "No layer selected"), make("p", { class: "say" }, "Click a layer anywhere: in the table, the treemap, the roofline, the timeline or the graph. It is then marked everywhere, and here is what it computes, how it is tiled and its program."));
    const layer = nodes.layer[node], where = nodes.path[node].join(".");
    panel.replaceChildren(
      make("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => select(-1) }, "×"),
      make("h2", {}, nodes.name[node]),
      make("p", { class: "say" }, `${nodes.operation[node]}, ${data.families[nodes.family[node]].name}${where ? `, in ${where}` : ""}`),
      nodes.fate[node] && make("p", { class: "say" }, nodes.fate[node]),
      facts(costs(node)),
      ...(layer < 0 ? [] : simulated(layer, node)),
      ...bounds(node),
      ...neighbours(node),
      ...texts(node, layer),
      ...program(layer));
    const here = panel.querySelector("pre .here");
    here?.scrollIntoView({ block: "center" });
    if (here) here.parentNode.scrollLeft = 0;
  }

  const facts = (pairs) => make("table", {}, ...pairs.filter(([, value]) => value).map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, value))));

  const costs = (i) => [
    ["output", shapeText(nodes.shape[i])],
    ["multiply-accumulates", nodes.macs[i] && whole(nodes.macs[i])],
    ["multiplications", nodes.multiplications[i] && whole(nodes.multiplications[i])],
    ["additions", nodes.additions[i] && whole(nodes.additions[i])],
    ...Object.entries(nodes.others[i]).map(([kind, n]) => [`other: ${kind}`, whole(n)]),
    ["parameters", nodes.parameters[i] && whole(nodes.parameters[i])],
    ["neurons", nodes.neurons[i] && whole(nodes.neurons[i])],
    ["bytes of its value", nodes.activation_bytes[i] && whole(nodes.activation_bytes[i])],
    ["live activations", data.memory.live[i] && quantity(data.memory.live[i], "B")],
  ];

  function neighbours(node) {
    const link = (other) => make("button", { type: "button", onclick: () => select(other) }, nodes.name[other]);
    const readers = nodes.inputs.flatMap((inputs, other) => (inputs.includes(node) ? [other] : []));
    const inputs = [...nodes.fed[node].map((name) => make("span", { class: "say" }, `${name} (input)`)), ...nodes.inputs[node].map(link)];
    const outputs = [...readers.slice(0, 20).map(link), ...(nodes.is_output[node] ? [make("span", { class: "say" }, "output of the network")] : [])];
    const list = (title, items) => (items.length ? [make("h3", {}, title), make("div", { class: "links" }, ...items)] : []);
    return [...list("Reads", inputs), ...list("Read by", outputs)];
  }

  function bounds(node) {
    const some = roofs.filter((roof) => roof.time[node]), [first] = some;
    return first ? [make("h3", {}, "By its bound alone"), facts([
      ...some.map((roof) => [`on ${roof.machine}`, `${quantity(roof.time[node], "s")}, ${roof.bound_by[node]}`]),
      ["bytes moved at least", quantity(first.bytes[node], "B")],
      ["operations a byte", first.operations[node] && first.bytes[node] && quantity(first.operations[node] / first.bytes[node])],
    ])] : [];
  }

  function simulated(layer, node) {
    const kin = nodes.name.flatMap((_, other) => (other !== node && nodes.layer[other] === layer ? [other] : []));
    const cycles = layers.cycles[layer], bound = layers.bound_cycles[layer];
    const busy = Object.entries(layers.busy).filter(([, list]) => list[layer]).map(([unit, list]) => `${unit} ${whole(list[layer])}`).join(", ");
    return [make("h3", {}, "Simulated"), facts([
      ["compiled as", layers.operation[layer]],
      ["cycles", `${whole(cycles)} (${whole(layers.start[layer])} to ${whole(layers.end[layer])})`],
      ["time", quantity(cycles / data.clock, "s")],
      ["times its bound", bound && (cycles / bound).toFixed(2)],
      ["DRAM bytes", `${whole(layers.dram_bytes[layer])}, at least ${whole(layers.dram_bytes_bound[layer])}`],
      ["busy cycles", busy],
    ]), ...(kin.length ? [make("h3", {}, "Computed together with"), make("div", { class: "links" }, ...kin.slice(0, 30).map((other) => make("button", { type: "button", onclick: () => select(other) }, nodes.name[other])))] : [])];
  }

  function texts(node, layer) {
    const { text } = data, block = (title, numbers) => (numbers?.length ? [make("h3", {}, title), make("pre", { tabindex: 0 }, numbers.map((n) => text.lines[n]).join("\n"))] : []);
    if (!text) return [];
    return [...block("As nests", text.nodes[node]), ...block("Nests of its layer, as compiled", text.groups[layer]), ...(text.tilings[layer] === undefined ? [] : [make("h3", {}, "Tiling"), make("pre", { tabindex: 0 }, text.lines[text.tilings[layer]].replaceAll(" | ", "\n"))])];
  }

  function program(layer) {
    const { code } = data;
    if (layer < 0 || !code?.spans[layer]?.length) return [];
    const spans = code.spans[layer], holding = spans.findIndex(([first, last]) => selection.place >= first && selection.place < last);
    const names = spans.map(([first]) => code.streams.find(([, , from, to]) => first >= from && first < to)[1]);
    const area = make("pre", { tabindex: 0 }), chooser = make("select", { "aria-label": "Stream", onchange: () => show(chooser.selectedIndex) }, ...names.map((name) => make("option", {}, name)));
    function show(which) {
      chooser.selectedIndex = which;
      area.replaceChildren(...instructionLines(code, spans[which]));
    }
    show(Math.max(0, holding));
    const left = code.shown.includes(layer) ? [] : [make("p", { class: "say" }, "To keep this page small, only the names of this layer's instructions are in it; `tilework compile --stage lower` prints them.")];
    return [make("div", { class: "row" }, make("h3", {}, "Program"), names.length > 1 ? chooser : null), area, ...left];
  }

  selection.views.push(draw);
  draw();
  return draw;
}

// Lines indented by loops; so many around the selected instruction as a reader can bear, and say what is left out.
function instructionLines(code, [first, last]) {
  const MOST = 600, at = selection.place >= first && selection.place < last ? selection.place : first;
  const from = last - first <= MOST ? first : Math.max(first, Math.min(at - MOST / 2, last - MOST)), to = Math.min(last, from + MOST), lines = [];
  let depth = 0;
  for (let place = first; place < to; place++) {
    const text = code.lines[code.instructions[place]];
    depth -= text === "endloop";
    if (place >= from) lines.push(make("span", place === selection.place ? { class: "here" } : {}, `${"  ".repeat(Math.max(0, depth))}${text}\n`));
    depth += text.startsWith("loop");
  }
  const skipped = (n, where) => (n > 0 ? [`… ${whole(n)} instructions ${where}\n`] : []);
  return [...skipped(from - first, "before"), ...lines, ...skipped(last - to, "after")];
}
