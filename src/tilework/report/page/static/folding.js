// Which boxes the graph shows: modules open or closed, and long runs of layers in one module as numbered parts.
const MANY = 60; // boxes that a module shows at once before its children stand in parts

function moduleTree() {
  const { nodes } = data, root = { name: data.name, key: "", children: [], size: 0, parent: null }, known = new Map([["", root]]);
  nodes.name.forEach((name, node) => {
    let at = root;
    nodes.path[node].forEach((part, depth) => {
      const key = nodes.path[node].slice(0, depth + 1).join("\0");
      if (!known.has(key)) {
        known.set(key, { name: part, key, children: [], size: 0, parent: at });
        at.children.push(known.get(key));
      }
      at = known.get(key);
    });
    at.children.push({ name, node, parent: at, size: 1 });
  });
  const finish = (module) => {
    for (const child of module.children) if (child.children) finish(child);
    divide(module);
    module.size = d3.sum(module.children, (child) => child.size);
  };
  finish(root);
  return root;
}

// A module's whole path; a part of one says from where to where it goes.
const moduleName = (module) => (module.key.includes("\0\0") ? module.name : module.key.split("\0").join("."));
const endOf = (text, letters) => (text.length > letters ? `…${text.slice(1 - letters)}` : text);

// Where a module has more than MANY children they stand in parts, neighbours together, and these in parts again.
function divide(module) {
  const { children } = module;
  if (children.length <= MANY) return;
  const size = Math.ceil(children.length / Math.min(MANY, Math.ceil((2 * children.length) / MANY)));
  const end = (box, place) => (box.children ? end(box.children.at(place), place) : ownName(box.node));
  module.children = d3.range(0, children.length, size).map((from) => {
    const own = children.slice(from, from + size);
    const part = { name: `${end(own[0], 0)} … ${end(own.at(-1), -1)}`, key: `${module.key}\0\0${from}`, children: own, parent: module, size: d3.sum(own, (child) => child.size) };
    for (const child of own) child.parent = part;
    divide(part);
    return part;
  });
}

// Opens modules, the largest level first, as long as no more than `most` boxes are shown.
function firstOpen(root, most) {
  const open = new Set([root]);
  let level = [root], boxes = root.children.length;
  while (level.length) {
    const next = level.flatMap((module) => module.children.filter((child) => child.children));
    boxes += d3.sum(next, (module) => module.children.length - 1);
    if (boxes > most) break;
    for (const module of next) open.add(module);
    level = next;
  }
  return open;
}

// The boxes and, from the layers' inputs, the edges between them, each once.
function visibleBoxes(root, open) {
  const boxes = [], box = new Int32Array(data.nodes.name.length);
  const walk = (module, into) => module.children.forEach((child) => {
    const own = into ?? (child.children && open.has(child) ? null : boxes.push(child) - 1);
    if (child.children) walk(child, own);
    else box[child.node] = own;
  });
  walk(root, null);
  const seen = new Set(), edges = [];
  data.nodes.inputs.forEach((inputs, node) => inputs.forEach((from) => {
    const key = `${box[from]} ${box[node]}`;
    if (box[from] !== box[node] && !seen.has(key)) { seen.add(key); edges.push([box[from], box[node]]); }
  }));
  return { boxes, box, edges };
}
