// The timeline's data: of each row, sorted arrays of starts, ends and instructions; what is under a cycle of a row.
function readRows(time, code) {
  const owner = new Int32Array(code.instructions.length).fill(-1);
  code.spans.forEach((spans, layer) => { for (const [first, last] of spans) owner.fill(layer, first, last); });
  const rows = time.rows.map(({ stream, unit, start, place, other, bars }) => {
    const starts = new Float64Array(start.length), places = new Int32Array(start.length);
    let at = 0, where = 0;
    for (let i = 0; i < start.length; i++) {
      starts[i] = at += start[i];
      places[i] = where += place[i];
    }
    return { stream, unit, starts, places, other, bars };
  });
  return { rows, owner };
}

// The cycles of an event: its instruction's, or its own where those are others.
function lasting(row, length, i) {
  return row.other[i] ?? length[row.places[i]];
}

// The event of a row that is at work in a cycle, or -1.
function eventAt(row, length, cycle) {
  const i = d3.bisectRight(row.starts, cycle) - 1;
  return i >= 0 && cycle < row.starts[i] + lasting(row, length, i) ? i : -1;
}

function barAt(row, cycle) {
  for (let i = d3.bisectRight(row.bars.start, cycle) - 1, tries = 0; i >= 0 && tries < 50; i--, tries++) if (cycle < row.bars.end[i]) return i;
  return -1;
}

// Paints a row: what is wide enough by itself, the rest as columns of pixels, as dark as the unit is busy in them.
function paintRow(context, row, view, { top, height, length, owner, colour, label }) {
  const { x, left, right } = view, [from, to] = x.domain(), columns = new Float32Array(Math.ceil(right - left) + 1), hues = new Int32Array(columns.length).fill(-1);
  const wide = [];
  const add = (start, end, busy, layer) => {
    const a = Math.max(left, x(start)), b = Math.min(right, x(end)), density = busy / (end - start);
    for (let pixel = Math.floor(a); pixel < b; pixel++) {
      columns[pixel - Math.floor(left)] += density * (Math.min(b, pixel + 1) - Math.max(a, pixel));
      hues[pixel - Math.floor(left)] = layer;
    }
  };
  for (let i = Math.max(0, d3.bisectLeft(row.starts, from) - 1); i < row.starts.length && row.starts[i] < to; i++) {
    const start = row.starts[i], end = start + lasting(row, length, i), layer = owner[row.places[i]];
    if (x(end) - x(start) >= 3) wide.push([Math.max(left, x(start)), Math.min(right, x(end)), layer, row.places[i]]);
    else if (end > from) add(start, end, end - start, layer);
  }
  row.bars.start.forEach((start, i) => { if (start < to && row.bars.end[i] > from) add(start, row.bars.end[i], row.bars.busy[i], row.bars.layer[i]); });
  columns.forEach((busy, i) => {
    if (!busy) return;
    context.globalAlpha = Math.min(1, 0.25 + 0.75 * busy);
    context.fillStyle = colour(hues[i]);
    context.fillRect(Math.floor(left) + i, top, 1, height);
  });
  context.globalAlpha = 1;
  for (const [a, b, layer, place] of wide) {
    if (b <= a) continue;
    context.fillStyle = colour(layer);
    context.fillRect(a, top, Math.max(1, b - a - 0.7), height);
    if (b - a > 34) {
      context.fillStyle = inkOn(colour(layer));
      context.fillText(cut(label(place), b - a - 8, 6), a + 4, top + height / 2 + 4);
    }
  }
}
