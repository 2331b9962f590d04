// Opens the page: the table and the charts first, then what is larger.
let data;
const familyColour = (node) => data.families[data.nodes.family[node]].colour;
const ownName = (node) => {
  const inside = data.nodes.path[node].join("."), name = data.nodes.name[node];
  return inside && name.startsWith(`${inside}.`) ? withParent(name.slice(inside.length + 1), data.nodes.path[node].at(-1)) : name;
};

// A number alone says too little: "layer1.0" rather than "0".
const withParent = (name, parent) => (/^\d+$/.test(name) && parent ? `${parent}.${name}` : name);

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const draw of charts) draw();
}

function themes() {
  const dark = matchMedia("(prefers-color-scheme: dark)"), chosen = () => { try { return localStorage.getItem("tilework-theme"); } catch { return null; } };
  const flip = () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("tilework-theme", theme); } catch { /* a page without storage forgets */ }
    setTheme(theme);
  };
  setTheme(chosen() ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => { if (!chosen()) setTheme(dark.matches ? "dark" : "light"); });
  $("theme").addEventListener("click", flip);
  return flip;
}

function keys(flip) {
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { "/": () => $("jump").focus(), j: () => step(1), k: () => step(-1), Escape: () => select(-1), d: flip }[event.key];
    if (!does) return;
    does();
    event.preventDefault();
  });
}

// The field at the top takes a layer's name, or a part of it.
function finder() {
  const field = $("jump"), { nodes } = data, best = (words) => nodes.name.findIndex((name) => name === words);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase(), near = words ? nodes.name.filter((name) => name.toLowerCase().includes(words)).slice(0, 30) : [];
    $("names").replaceChildren(...near.map((name) => make("option", { value: name })));
    if (best(field.value) >= 0) select(best(field.value));
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") field.blur();
    if (event.key !== "Enter") return;
    const words = field.value.toLowerCase(), node = best(field.value) >= 0 ? best(field.value) : nodes.name.findIndex((name) => name.toLowerCase().includes(words));
    if (words && node >= 0) select(node);
  });
}

function navigation() {
  const links = [...document.querySelectorAll("nav a")], sections = links.map((link) => document.querySelector(link.getAttribute("href")));
  links.forEach((link, i) => link.addEventListener("click", (event) => {
    event.preventDefault(); // the address keeps the selected layer
    sections[i].scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    sections[i].focus({ preventScroll: true });
  }));
  const where = () => {
    const end = innerHeight + scrollY >= document.body.scrollHeight - 4, at = end ? sections.length - 1 : sections.findLastIndex((section) => section.getBoundingClientRect().top < innerHeight / 3);
    links.forEach((link, i) => {
      link.classList.toggle("here", i === Math.max(0, at));
      if (i === Math.max(0, at)) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", where, { passive: true });
  where();
}

async function open() {
  const flip = themes();
  data = await unpack("network");
  selection.places = new Map(data.nodes.name.map((name, node) => [name, node]));
  tableView();
  treemapView();
  rooflineView();
  liveView();
  chipView();
  const panel = panelView();
  keys(flip);
  finder();
  navigation();
  selectFromAddress();
  addEventListener("hashchange", selectFromAddress);
  await new Promise((done) => setTimeout(done)); // let the browser paint what there is
  data.text = await unpack("text");
  if (data.missing || !data.layers.name.length) why("timeline", `There is no timeline: ${data.missing || "no layer of this network needs the processor"}.`);
  else {
    data.code = await unpack("code");
    timelineView(await unpack("events"), data.code);
  }
  panel();
  graphView();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

open().catch((error) => {
  console.error(error);
  $("summary").append(make("p", { class: "why" }, typeof DecompressionStream === "undefined"
    ? "This page needs a browser of 2023 or later: it can't unpack its data in this one."
    : `This page could not be drawn: ${error.message}.`));
});
