// Folds modules, and sorts: by a column the layers stand in a flat list, by the first column in the tree again.
const table = document.getElementById("rows"), body = table.tBodies[0], rows = [...body.rows];
const level = (row) => Number(row.dataset.level);

function fold() {
  let inside = Infinity;
  for (const row of rows) {
    if (level(row) <= inside) inside = Infinity;
    row.hidden = level(row) > inside;
    const shut = row.classList.contains("shut");
    row.querySelector("th button")?.setAttribute("aria-expanded", !shut);
    if (shut && !row.hidden) inside = level(row);
  }
}

function sort(heading) {
  const column = heading.cellIndex, first = rows.find((row) => row.cells[column].dataset.n !== undefined);
  const before = heading.getAttribute("aria-sort");
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  table.classList.toggle("flat", Boolean(first) && before !== "ascending");
  if (!table.classList.contains("flat")) {
    body.append(...rows);
    return fold();
  }
  const order = before === "descending" ? "ascending" : "descending", sign = order === "descending" ? -1 : 1;
  const value = (row) => Number(row.cells[column].dataset.n);
  heading.setAttribute("aria-sort", order);
  for (const row of rows) row.hidden = false;
  body.append(...[...rows].sort((a, b) => sign * (value(a) - value(b))));
}

table.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const heading = button.closest("thead th");
  if (heading) return sort(heading);
  button.closest("tr").classList.toggle("shut");
  fold();
});
for (const row of rows) row.cells[0].title = row.querySelector(".path").textContent;
fold();
