// The table of layers: sorted by any column, filtered, and only as many rows in the document as are seen.
function tableView() {
  const HEIGHT = 28, MARGIN = 20, box = $("rows"), { nodes, layers, roofs } = data;
  const columns = tableColumns();
  let order = d3.range(nodes.name.length), shown = order, by = null, down = true, printing = false;
  const body = make("tbody");
  const heads = columns.map((column) => make("th", { scope: "col", class: column.left && "left" },
    make("button", { type: "button", onclick: () => sort(column) }, column.head)));
  box.append(make("table", { role: "grid", "aria-rowcount": nodes.name.length + 1 }, make("thead", {}, make("tr", {}, ...heads)), body));

  function sort(column) {
    if (by === column && !down) [by, down] = [null, true];
    else if (by === column) down = false;
    else [by, down] = [column, !column.left];
    for (const head of heads) head.removeAttribute("aria-sort");
    if (by) heads[columns.indexOf(by)].setAttribute("aria-sort", down ? "descending" : "ascending");
    arrange();
  }

  function arrange() {
    const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (i) => `${nodes.path[i].join(".")} ${nodes.name[i]} ${nodes.operation[i]}`.toLowerCase();
    shown = order.filter((i) => words.every((word) => text(i).includes(word)));
    const compare = (a, b) => (typeof a === "string" ? d3.ascending(a, b) : a - b);
    if (by) shown = [...shown].sort((a, b) => (down ? -1 : 1) * compare(by.value(a), by.value(b)) || a - b);
    $("found").textContent = words.length ? `${whole(shown.length)} of ${whole(order.length)}` : whole(order.length);
    draw();
  }

  function draw() {
    const first = printing ? 0 : Math.max(0, Math.floor(box.scrollTop / HEIGHT) - MARGIN);
    const last = printing ? shown.length : Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + MARGIN);
    const space = (rows) => make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: columns.length, style: `height:${rows * HEIGHT}px` }));
    body.replaceChildren(...(first ? [space(first)] : []), ...shown.slice(first, last).map(row), ...(last < shown.length ? [space(shown.length - last)] : []));
  }

  function row(node, place) {
    const mark = markOf(node);
    return make("tr", { "data-node": node, class: mark === "kin" && "kin", "aria-selected": String(mark === "marked") },
      ...columns.map((column, i) => i
        ? make("td", { class: column.left && "left" }, column.text(node))
        : make("th", { scope: "row", class: "left", title: nodes.name[node] }, make("i", { style: `background:${familyColour(node)}` }), nodes.name[node])));
  }

  function scrollTo(node) {
    const place = shown.indexOf(node), top = place * HEIGHT;
    if (place >= 0 && (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 3 * HEIGHT)) box.scrollTop = top - box.clientHeight / 2;
  }

  body.addEventListener("click", (event) => {
    const clicked = event.target.closest("tr[data-node]");
    if (clicked) select(Number(clicked.dataset.node), { from: "table" });
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (!by || !shown.length) return;
    const now = shown.indexOf(selection.node);
    select(shown[Math.max(0, Math.min(shown.length - 1, now < 0 ? 0 : now + by))]);
    event.preventDefault();
  });
  $("filter").addEventListener("input", () => { box.scrollTop = 0; arrange(); });
  box.addEventListener("scroll", () => requestAnimationFrame(draw));
  addEventListener("beforeprint", () => { printing = true; draw(); });
  addEventListener("afterprint", () => { printing = false; draw(); });
  selection.views.push((from) => { if (from !== "table" && selection.node >= 0) scrollTo(selection.node); draw(); });
  arrange();
}

function tableColumns() {
  const { nodes, layers, roofs } = data, [roof] = roofs, simulated = layers.name.length > 0;
  const layer = (i) => nodes.layer[i], isMain = (i) => layer(i) >= 0 && layers.main[layer(i)] === i;
  const number = (head, value, text = quantity) => ({ head, value, text: (i) => (value(i) ? text(value(i)) : "–") });
  const ofLayer = (head, list, text, elsewhere = () => "") => ({
    head,
    value: (i) => (isMain(i) ? list(layer(i)) : 0),
    text: (i) => (isMain(i) ? text(list(layer(i))) : layer(i) >= 0 ? make("span", { class: "soft" }, elsewhere(i)) : "–"),
  });
  const withMain = (i) => (layers.main[layer(i)] < 0 ? "" : `with ${cut(nodes.name[layers.main[layer(i)]], 150)}`);
  return [
    { head: "layer", left: true, value: (i) => nodes.name[i], text: (i) => nodes.name[i] },
    { head: "operation", left: true, value: (i) => nodes.operation[i], text: (i) => nodes.operation[i] },
    { head: "output", value: (i) => nodes.shape[i].reduce((a, b) => a * b, 1), text: (i) => shapeText(nodes.shape[i]) },
    number("MACs", (i) => nodes.macs[i]),
    number("parameters", (i) => nodes.parameters[i]),
    ...(simulated ? [
      ofLayer("cycles", (n) => layers.cycles[n], whole, withMain),
      ofLayer("× bound", (n) => layers.cycles[n] / (layers.bound_cycles[n] || Infinity), (v) => (v ? v.toFixed(2) : "–")),
      ofLayer("DRAM", (n) => layers.dram_bytes[n], (v) => quantity(v, "B")),
    ] : []),
    ...(roof ? [
      number("bytes", (i) => roof.bytes[i], (v) => quantity(v, "B")),
      number("least time", (i) => roof.time[i], (v) => quantity(v, "s")),
      { head: "bound by", left: true, value: (i) => roof.bound_by[i], text: (i) => roof.bound_by[i] },
      ...roofs.slice(1).map((one) => number(`on ${one.machine}`, (i) => one.time[i], (v) => quantity(v, "s"))),
    ] : []),
  ];
}
