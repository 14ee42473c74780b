// What this page shows was written by plugins, hosts and whoever can write to the ensemble. So it is put into the page as text
// alone: no markup is ever made of it, and an address that a host names becomes a link only if it is one of HTTP.
// The script is one, of several files: page/files.rs says in which order.
"use strict";

const $ = (id) => document.getElementById(id);

function put(node, text) {
  text = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== text) node.textContent = text;
  return node;
}

function make(name, text, kind) {
  const node = document.createElement(name);
  if (text !== undefined) put(node, text);
  if (kind) node.className = kind;
  return node;
}

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function badge(node, word) {
  const inner = node.firstElementChild ?? node.appendChild(make("span"));
  inner.className = `badge ${/^[a-z]+$/.test(word ?? "") ? word : ""}`;
  put(inner, word);
}

// Keeps the focus where it is while rows are moved.
function steady(change) {
  const focused = document.activeElement;
  change();
  if (focused && focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true });
  }
}

// Brings the rows of a table up to date: those that stay are kept, so that neither focus nor selection is lost.
function rows(body, items, key, create, update) {
  steady(() => {
    const there = new Map([...body.children].map((row) => [row.dataset.key, row]));
    // Somebody may have written the same name twice.
    const seen = new Set();
    let place = body.firstElementChild;
    for (const item of items) {
      const name = key(item);
      if (seen.has(name)) continue;
      seen.add(name);
      let row = there.get(name);
      if (!row) {
        row = create(item);
        row.dataset.key = name;
      }
      if (row === place) place = place.nextElementSibling;
      else body.insertBefore(row, place);
      update(row, item);
    }
    // Those that stay are all before it by now.
    while (place) {
      const next = place.nextElementSibling;
      place.remove();
      place = next;
    }
  });
}

function tableRow(labels) {
  const row = make("tr");
  row.setAttribute("role", "row");
  for (const label of labels) {
    const cell = make("td");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    row.append(cell);
  }
  return row;
}

// A cell without a text takes no place on a phone.
function markEmpty(row) {
  for (const cell of row.children) cell.classList.toggle("empty", !cell.textContent);
}

function two(cell, first, second) {
  while (cell.children.length < 2) cell.append(make("div", "", cell.children.length ? "sub" : ""));
  // On a phone a cell is a grid of its label and one more.
  put(cell.children[0], first);
  put(cell.children[1], second);
}
