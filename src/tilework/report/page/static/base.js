// What all views share: the page's data, numbers as text, elements, the tip.
const $ = (id) => document.getElementById(id);
const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"], [1e-12, "p"]];

async function unpack(id) {
  const text = atob($(id).textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function quantity(value, unit = "") {
  if (!value) return `0 ${unit}`.trim();
  const [scale, prefix] = PREFIXES.find(([s]) => Math.abs(value) >= s) ?? PREFIXES.at(-1);
  const number = value / scale;
  return `${Number(number.toPrecision(number >= 1000 ? 4 : 3))} ${prefix}${unit}`.trim();
}

const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const whole = (number) => grouped.format(number);
const share = (part) => `${(100 * part).toFixed(part < 0.1 ? 2 : 1)} %`;
const shapeText = (shape) => shape.join("×") || "scalar";

// An element with attributes and children; text goes in as text, never as markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const tip = {
  show(event, title, ...lines) {
    const box = $("tip");
    box.replaceChildren(make("b", {}, title), lines.filter(Boolean).join("\n"));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 8), below = event.clientY + 18;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below + height > innerHeight ? event.clientY - height - 10 : below}px`;
  },
  hide() { $("tip").hidden = true; },
};

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Black or white, whichever is read more easily on a colour (relative luminance of WCAG 2).
function inkOn(colour) {
  const { r, g, b } = d3.rgb(colour);
  const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z > 0.22 ? "#14181c" : "#fff";
}

// As much of a text as has room, by the mean width of a letter.
const cut = (text, width, letter = 6.3) => {
  const room = Math.floor(width / letter);
  return text.length <= room ? text : room > 3 ? `${text.slice(0, room - 1)}…` : "";
};

// Draws a chart when it comes near the window or is printed, and anew where its width or the theme changes.
const charts = new Set();

function redraw(element, draw) {
  let width = 0, near = false;
  const fit = () => {
    if (!near || !element.clientWidth || Math.abs(element.clientWidth - width) < 1) return;
    width = element.clientWidth;
    draw();
  };
  const wake = () => { near = true; fit(); };
  new ResizeObserver(fit).observe(element);
  new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && wake(), { rootMargin: "300px" }).observe(element);
  addEventListener("beforeprint", wake);
  charts.add(() => { if (near && element.clientWidth) draw(); });
}

function why(section, sentence) {
  const card = $(section);
  for (const part of [...card.children].slice(1)) part.hidden = true;
  card.querySelector(".tools")?.replaceChildren();
  card.append(make("p", { class: "why" }, sentence));
}
