// The selected layer: one for the whole page, also in the address, so that a link leads to it.
const selection = { node: -1, place: -1, views: [], places: new Map() };

function select(node, { place = -1, from = "" } = {}) {
  selection.node = node;
  selection.place = place;
  const hash = node < 0 ? "" : `#layer=${encodeURIComponent(data.nodes.name[node])}`;
  history.replaceState(null, "", hash || location.pathname + location.search);
  for (const view of selection.views) view(from);
}

// Nodes that the same layer of the program computes.
const isKin = (node) => {
  const layer = selection.node < 0 ? -1 : data.nodes.layer[selection.node];
  return layer >= 0 && node !== selection.node && data.nodes.layer[node] === layer;
};

const markOf = (node) => (node === selection.node ? "marked" : isKin(node) ? "kin" : "");

function step(by) {
  const last = data.nodes.name.length - 1;
  select(Math.max(0, Math.min(last, selection.node < 0 ? 0 : selection.node + by)));
}

function selectFromAddress() {
  const found = location.hash.match(/^#layer=(.*)$/);
  let name = "";
  try { name = found ? decodeURIComponent(found[1]) : ""; } catch { /* an address that somebody cut */ }
  const node = selection.places.get(name) ?? -1;
  if (node >= 0) select(node);
}

// Arrow keys in a chart go from layer to layer; `zoom` is told of plus, minus and 0.
function arrows(element, zoom = () => {}) {
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const zooms = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 };
    if (event.key in steps) step(steps[event.key]);
    else if (event.key === "Home") select(0);
    else if (event.key === "End") select(data.nodes.name.length - 1);
    else if (event.key in zooms) zoom(zooms[event.key]);
    else return;
    event.preventDefault();
  });
}
