"use strict";
// What moves on the page: tables that sort, and confusion cells that show their images. Text is set as text, never as
// HTML: names of classes come from outside.

// A click on a heading sorts its table, the better end first; another click turns it round.
function sortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const turned = { ascending: "descending", descending: "ascending" }[heading.getAttribute("aria-sort")];
      const order = turned ?? heading.dataset.first ?? "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], sign)));
    });
  });
}

// By number where the cells have one, which lies below all others where nothing was measured; else by text.
function compare(a, b, sign) {
  if (a.dataset.value === undefined) return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  return sign * (Number(a.dataset.value) - Number(b.dataset.value));
}

// Pointing at a cell, reaching it with the arrow keys or tapping it shows what it counts below the matrix. A matrix is
// one stop of the tab key, whatever the number of its cells.
function explorable(matrix, { shots, jpegs }) {
  const table = matrix.querySelector("table");
  const words = matrix.querySelector(".words");
  const place = matrix.querySelector(".shots");
  const examples = shots[matrix.dataset.candidate];

  function show(cell) {
    if (cell.classList.contains("shown")) return;
    matrix.querySelector(".shown")?.classList.remove("shown");
    cell.classList.add("shown");
    words.textContent = cell.getAttribute("aria-label");
    place.replaceChildren(...(examples[cell.dataset.cell] ?? []).map((shot) => figure(shot, jpegs, words.textContent)));
  }

  function step(event) {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
    const cell = event.target.closest(".cell");
    if (down === undefined || !cell) return;
    event.preventDefault();
    const next = table.rows[cell.parentNode.rowIndex + down]?.cells[cell.cellIndex + right];
    if (!next?.matches(".cell")) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  for (const kind of ["mouseover", "focusin", "click"]) {
    table.addEventListener(kind, (event) => {
      const cell = event.target.closest(".cell");
      if (cell) show(cell);
    });
  }
  table.addEventListener("keydown", step);
}

function figure([image, caption], jpegs, words) {
  const picture = document.createElement("img");
  picture.src = placed.get(`${image}`) ?? `data:image/jpeg;base64,${jpegs[image]}`;
  picture.alt = `Test image ${image}: ${words}`;
  const below = document.createElement("figcaption");
  below.textContent = caption;
  const whole = document.createElement("figure");
  whole.className = "shot";
  whole.append(picture, below);
  return whole;
}

// Images that stand on the page already are not in it twice.
const placed = new Map([...document.querySelectorAll("img[data-image]")].map((it) => [it.dataset.image, it.src]));
document.querySelectorAll("table.sortable").forEach(sortable);
const cells = JSON.parse(document.getElementById("cells").textContent);
document.querySelectorAll(".matrix").forEach((matrix) => explorable(matrix, cells));
