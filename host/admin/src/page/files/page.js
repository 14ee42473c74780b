// What this page shows was written by plugins, hosts and whoever can write to the ensemble. So it is put into the page as text
// alone: no markup is ever made of it, and an address that a host names becomes a link only if it is one of HTTP.
"use strict";

const $ = (id) => document.getElementById(id);
const TOKEN = "soloist-token";
const PALETTE = 8;

// The token is kept in this tab. It is no cookie, which a browser would send by itself, also when another site asks it to.
let token = sessionStorage.getItem(TOKEN) ?? "";
let hello = {};
let stream = null;
let leases = new Map();
let skew = 0;

// ---- small helpers

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

const now = () => Date.now() + skew;

function span(milliseconds) {
  let seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function clock(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? String(text ?? "") : at.toLocaleString(undefined, { hour12: false });
}

// A time that is told as the time since then; it is brought up to date every second.
function since(node, text, before = "", after = "") {
  const at = Date.parse(text ?? "");
  node.dataset.since = Number.isNaN(at) ? "" : at;
  node.dataset.before = before;
  node.dataset.after = after;
  node.title = text ? clock(text) : "";
  age(node);
}

function age(node) {
  const at = node.dataset.since;
  put(node, at ? `${node.dataset.before}${span(now() - Number(at))}${node.dataset.after}` : "");
}

setInterval(() => document.querySelectorAll("[data-since]").forEach(age), 1000);

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
    let place = body.firstElementChild;
    for (const item of items) {
      const name = key(item);
      let row = there.get(name);
      there.delete(name);
      if (!row) {
        row = create(item);
        row.dataset.key = name;
      }
      if (row === place) place = place.nextElementSibling;
      else body.insertBefore(row, place);
      update(row, item);
    }
    for (const row of there.values()) row.remove();
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

function two(cell, first, second) {
  while (cell.children.length < 2) cell.append(make("div", "", cell.children.length ? "sub" : ""));
  // On a phone a cell is a grid of its label and one more.
  put(cell.children[0], first);
  put(cell.children[1], second);
}

let said = [];
function say(text) {
  said.push(text);
  if (said.length > 3) said = [`${said.length} changes`];
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { put($("said"), said.join(". ")); said = []; }, 700);
}

// ---- requests

class Unauthorized extends Error {}

async function ask(path, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal, cache: "no-store", redirect: "error" });
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `status ${response.status}`);
  return response;
}

// Server-sent events, read with fetch: the browser's own reader of them cannot show a token.
async function listen(path, hear, signal) {
  const response = await ask(path, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = {};
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
      }
      text = text.slice(end + 2);
      if (event.data !== undefined) hear(event.event, JSON.parse(event.data));
    }
  }
}

function follow(path, hear) {
  stream?.abort();
  const mine = (stream = new AbortController());
  (async () => {
    let pause = 500;
    while (!mine.signal.aborted) {
      try {
        await listen(path, (event, data) => {
          if (mine.signal.aborted) return;
          pause = 500;
          if (event === "hello") {
            greet(data);
            hear("again", data);
          }
          if (event === "trouble") trouble(data.text && `The host cannot read the ensemble: ${data.text}`);
          else if (event !== "hello") hear(event, data);
        }, mine.signal);
      } catch (error) {
        if (mine.signal.aborted) return;
        if (error instanceof Unauthorized) return login();
        trouble(`What is shown may be out of date: ${error.message}`);
        await new Promise((done) => setTimeout(done, pause));
        pause = Math.min(2 * pause, 10_000);
      }
    }
  })();
}

function trouble(text) {
  $("trouble").hidden = !text;
  put($("trouble"), text);
}

function greet(data) {
  const other = hello.host && hello.host !== data.host;
  hello = data;
  trouble("");
  put($("from"), `as host ${data.host} sees it`);
  $("from").title = `version ${data.version}`;
  if (other) say(`shown by host ${data.host} now`);
}

// ---- who may see it

function login() {
  $("all").hidden = $("one").hidden = true;
  $("login").hidden = false;
  put($("login-title"), "This host asks for a token");
  put($("token-of"), "listen_token_file");
  put($("login-said"), token ? "That is not the token." : "");
  token = "";
  sessionStorage.removeItem(TOKEN);
  $("token").focus();
}

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem(TOKEN, token);
  $("login").hidden = true;
  route();
});

// ---- orders

function showOrders(told) {
  $("orders").hidden = !["token", "given"].includes(hello.orders) || !told;
  if (!told) return;
  $("orders-ask").hidden = hello.orders === "given";
  $("order-form").hidden = hello.orders !== "given";
  const hosts = ["", ...told.row.standbys];
  rows($("order-to"), hosts, (host) => host, () => make("option"), (option, host) => {
    option.value = host;
    put(option, host || "the next in the queue");
  });
}

$("orders-ask").addEventListener("click", () => {
  stream?.abort();
  login();
  put($("login-title"), "Orders ask for another token");
  put($("token-of"), "listen_admin_token_file");
});
$("order").addEventListener("change", () => { $("order-to-label").hidden = $("order").value !== "resign"; });
$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const to = $("order").value === "resign" && $("order-to").value;
  put($("order-asked"), `Have ${$("one").dataset.task} ${$("order").value}${to ? ` to ${to}` : ""}?`);
  $("order-sure").hidden = false;
  $("order-no").focus();
});
$("order-no").addEventListener("click", () => {
  $("order-sure").hidden = true;
  $("order").focus();
});
$("order-yes").addEventListener("click", async () => {
  $("order-sure").hidden = true;
  $("order").focus();
  put($("order-said"), "ordered …");
  const body = { order: $("order").value };
  if (body.order === "resign" && $("order-to").value) body.to = $("order-to").value;
  if ($("order-reason").value.trim()) body.reason = $("order-reason").value.trim();
  try {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const path = `/api/order/${encodeURIComponent($("one").dataset.task)}`;
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), redirect: "error" });
    const text = (await response.text()).trim().slice(0, 500);
    put($("order-said"), response.ok ? text : `Not done: ${text}`);
  } catch (error) {
    put($("order-said"), `It is not known whether that was done: ${error.message}`);
  }
});

// ---- leases: bars that move

function lease(cell, name, told) {
  if (!told) {
    leases.delete(cell);
    return cell.replaceChildren();
  }
  const [left, full, exact] = told;
  let box = cell.firstElementChild;
  if (!box) {
    box = make("div", undefined, "lease");
    box.append(make("meter"), make("span"));
    cell.append(box);
  }
  const [meter, text] = box.children;
  meter.min = 0;
  meter.max = full;
  meter.low = full * 0.34;
  meter.high = full * 0.5;
  meter.optimum = full;
  meter.setAttribute("aria-label", `lease left of ${name}`);
  meter.title = exact ? "by the permit of this host" : "at least, by the last heartbeat of its host";
  leases.set(cell, { meter, left, at: performance.now() });
  meter.value = left;
  put(text, `${exact ? "" : "≥ "}${left.toFixed(1)} s`);
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");
setInterval(() => {
  if (calm.matches || document.hidden) return;
  for (const [cell, { meter, left, at }] of leases) {
    if (!cell.isConnected) leases.delete(cell);
    else meter.value = Math.max(0, left - (performance.now() - at) / 1000);
  }
}, 100);

// ---- all tasks

const FILTERS = ["q", "health", "host", "sort", "down", "page", "hosts"];
let filters = {};
let health = new Map();

const query = (more = {}) => {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...filters, ...more })) {
    if (value !== "" && value !== undefined && value !== null && value !== false && value !== 0) all.set(name, value);
  }
  return all.toString();
};

const go = (change) => {
  const next = query({ page: 0, ...change });
  location.hash = next ? `#/?${next}` : "#/";
};

const TASK = ["Task", "Health", "Leader", "Term", "Generation", "Leads for", "Lease left", "Standbys", "Restarts", "Last failure"];

const address = (task) => `#/task/${encodeURIComponent(task)}`;

function newTask() {
  const row = tableRow(TASK);
  row.children[0].className = "name";
  row.children[0].append(make("a"));
  return row;
}

function updateTask(row, told) {
  const cells = row.children;
  const link = cells[0].firstElementChild;
  put(link, told.task);
  link.href = address(told.task);
  badge(cells[1], told.health);
  const leader = told.leader;
  put(cells[2], leader?.host ?? "nobody");
  put(cells[3], leader?.term ?? "");
  put(cells[4], leader?.generation ?? "");
  since(cells[5], leader?.since);
  const standbys = told.standbys.join(", ");
  put(cells[7], told.more_standbys ? `${standbys} and ${told.more_standbys} more` : standbys);
  put(cells[8], told.restarts ?? "");
  const failure = told.failure;
  const detail = failure && (failure.detail ?? "");
  two(cells[9], failure ? failure.cause : "", failure ? `${detail && `${detail}, `}on ${failure.host}, ${clock(failure.at)}` : "");
  for (const cell of cells) cell.classList.toggle("empty", cell !== cells[6] && !cell.textContent);

  const before = health.get(told.task);
  const is = `${told.health} ${leader?.host ?? ""}`;
  if (before !== undefined && before !== is) {
    say(leader ? `${told.task} is led by ${leader.host}, ${told.health}` : `nobody leads ${told.task}, ${told.health}`);
  }
  health.set(told.task, is);
}

const HOST = ["Host", "Leads", "Labels", "Version", "Runs for", "Drained", "Its page"];

function newHost() {
  const row = tableRow(HOST);
  row.children[0].className = "name";
  const link = make("a", "open");
  link.rel = "noreferrer noopener";
  row.children[6].append(link);
  return row;
}

function updateHost(row, told) {
  const cells = row.children;
  put(cells[0], told.host);
  put(cells[1], told.leads === null ? "" : told.max_active === null ? told.leads : `${told.leads} of ${told.max_active}`);
  rows(cells[2], told.labels, (label) => label, () => make("span", undefined, "label"), put);
  put(cells[3], told.version ?? "");
  since(cells[4], told.started);
  put(cells[5], told.drained ?? (told.there ? "" : "absent"));
  open(cells[6].firstElementChild, told.listen, "");
  for (const cell of cells) cell.classList.toggle("empty", !cell.textContent);
}

// Whatever a host says of where it listens: only an address of HTTP becomes a link.
function open(link, listens, path) {
  let url = null;
  try { url = new URL(listens ?? ""); } catch { /* it is no address */ }
  const fits = url && (url.protocol === "http:" || url.protocol === "https:") && !url.username && !url.password;
  if (fits) link.href = `${url.origin}/${path}`;
  else link.removeAttribute("href");
  put(link, fits ? url.host : "");
}

function showTasks(told) {
  const chips = [["", "All", told.tasks], ["unwell", "Not well", 0]];
  for (const word of ["healthy", "failing", "failed", "vacant", "foreign"]) {
    const count = told.health[word] ?? 0;
    if (["failing", "failed", "vacant"].includes(word)) chips[1][2] += count;
    if (count) chips.push([word, word, count]);
  }
  rows($("summary"), chips, (chip) => chip[0], (chip) => {
    const item = make("li");
    const button = make("button");
    button.type = "button";
    button.append(make("b"), make("span"));
    button.addEventListener("click", () => go({ health: chip[0] }));
    item.append(button);
    return item;
  }, (item, [word, name, count]) => {
    const button = item.firstElementChild;
    put(button.children[0], count);
    put(button.children[1], ` ${name}`);
    button.setAttribute("aria-pressed", String((filters.health ?? "") === word));
  });
  rows($("rows"), told.rows, (row) => row.task, newTask, updateTask);
  put($("tasks-count"), told.matched === told.tasks ? `${told.tasks}` : `${told.matched} of ${told.tasks}`);
  put($("page"), `page ${told.page + 1} of ${told.pages}`);
  $("before").disabled = told.page === 0;
  $("after").disabled = told.page + 1 >= told.pages;
  filters.page = told.page;

  rows($("host-rows"), told.hosts.rows, (host) => host.host, newHost, updateHost);
  put($("hosts-count"), told.hosts.all);
  put($("hosts-page"), `page ${told.hosts.page + 1} of ${told.hosts.pages}`);
  $("hosts-pager").hidden = told.hosts.pages < 2;
  $("hosts-before").disabled = told.hosts.page === 0;
  $("hosts-after").disabled = told.hosts.page + 1 >= told.hosts.pages;
  filters.hosts = told.hosts.page;
  if (!performance.getEntriesByName("soloist-rows").length) performance.mark("soloist-rows");
  if ($("terms-all").open) lanes();
}

function showTick(tick) {
  skew = Date.parse(tick.at) - Date.now();
  put($("seen"), `read ${tick.age.toFixed(1)} s ago, within ${Math.round(tick.took * 1000)} ms`);
  for (const row of $("rows").children) {
    lease(row.children[6], row.dataset.key, tick.leases[row.dataset.key]);
    row.children[6].classList.toggle("empty", !tick.leases[row.dataset.key]);
  }
}

$("filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["q", "host"]) {
  $(id).addEventListener("input", () => {
    clearTimeout($(id).timer);
    $(id).timer = setTimeout(() => go({ [id]: $(id).value.trim() }), 200);
  });
}
$("health").addEventListener("change", () => go({ health: $("health").value }));
$("before").addEventListener("click", () => go({ page: filters.page - 1 }));
$("after").addEventListener("click", () => go({ page: filters.page + 1 }));
$("hosts-before").addEventListener("click", () => go({ page: filters.page, hosts: filters.hosts - 1 }));
$("hosts-after").addEventListener("click", () => go({ page: filters.page, hosts: filters.hosts + 1 }));
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.firstElementChild.addEventListener("click", () => {
    const sort = head.dataset.sort;
    const down = (filters.sort ?? "name") === sort && !filters.down;
    go({ sort: sort === "name" ? "" : sort, down });
  });
}

let terms = null;
async function lanes() {
  if (terms) return;
  terms = new AbortController();
  const mine = terms;
  try {
    const told = await (await ask(`/api/terms?${query()}`, mine.signal)).json();
    timelines.all.show(told.lanes, true);
  } catch (error) {
    if (!mine.signal.aborted && !(error instanceof Unauthorized)) timelines.all.fail(error.message);
  }
  // What changes meanwhile is asked for when that is shown.
  setTimeout(() => { if (terms === mine) terms = null; }, 1000);
}
$("terms-all").addEventListener("toggle", () => { if ($("terms-all").open) lanes(); });

// ---- timelines

const colour = (host) => {
  let sum = 0;
  for (const character of host) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return `h${sum % PALETTE}`;
};

class Timeline {
  constructor(place) {
    this.place = place;
    this.lanes = [];
    this.range = null;
    const tools = make("div", undefined, "tools");
    const button = (text, name, act) => {
      const it = make("button", text);
      it.type = "button";
      it.setAttribute("aria-label", name);
      it.addEventListener("click", act);
      tools.append(it);
    };
    button("+", "Zoom in", () => this.zoom(0.5));
    button("−", "Zoom out", () => this.zoom(2));
    button("‹", "Earlier", () => this.move(-0.4));
    button("›", "Later", () => this.move(0.4));
    button("All", "Show all of it", () => this.reset());
    this.told = tools.appendChild(make("span", "", "sub"));
    this.drawn = make("div");
    this.drawn.tabIndex = 0;
    this.drawn.setAttribute("role", "group");
    this.drawn.setAttribute("aria-label", "Terms over time; plus and minus zoom, arrows move, 0 shows all");
    this.drawn.addEventListener("keydown", (event) => {
      const act = { "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), 0: () => this.reset() }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    this.legend = make("div", undefined, "legend");
    place.replaceChildren(tools, this.drawn, this.legend);
    setInterval(() => { if (this.drawn.offsetParent && !this.range && this.lanes.length) this.draw(); }, 5000);
  }
  show(lanes, named) {
    this.named = named;
    this.lanes = lanes.map((lane) => ({
      task: lane.task,
      terms: lane.terms.map((term) => ({
        ...term,
        from: Date.parse(term.since),
        to: term.end ? Date.parse(term.end.at) : null,
      })).filter((term) => !Number.isNaN(term.from) && (term.to === null || term.to >= term.from)),
    }));
    this.draw();
  }
  fail(text) { put(this.told, text); }
  whole() {
    const all = this.lanes.flatMap((lane) => lane.terms.map((term) => term.from));
    const to = now();
    const from = Math.min(to - 60_000, ...all.slice(0, 5000));
    return [from, to];
  }
  zoom(by) {
    const [from, to] = this.range ?? this.whole();
    const width = Math.min(Math.max((to - from) * by, 5000), 10 * 365 * 86_400_000);
    // The end is what one looks at, until one has moved away from it.
    const end = to >= now() - 1000 ? to : (from + to) / 2 + width / 2;
    this.range = [end - width, end];
    this.draw();
  }
  move(by) {
    const [from, to] = this.range ?? this.whole();
    const width = to - from;
    const end = Math.min(to + by * width, now() + 0.1 * width);
    this.range = [end - width, end];
    this.draw();
  }
  reset() { this.range = null; this.draw(); }
  draw() {
    const [from, to] = this.range ?? this.whole();
    const at = (time) => Math.min(100, Math.max(0, (100 * (time - from)) / (to - from)));
    put(this.told, `${clock(from)} to ${clock(to)}`);
    const seen = new Map();
    const drawn = this.lanes.map((lane) => {
      const row = make("div", undefined, "lane");
      let name = make("span", "terms");
      if (this.named) {
        name = make("a", lane.task);
        name.href = address(lane.task);
      }
      const shown = lane.terms.filter((term) => (term.to ?? to) >= from && term.from <= to);
      const picture = svg("svg", { role: "img", "aria-label": this.words(lane, shown) });
      for (const term of shown) {
        const [left, right] = [at(term.from), at(term.to ?? now())];
        const kind = colour(term.host);
        seen.set(term.host, kind);
        const bar = svg("rect", { x: `${left}%`, width: `${Math.max(right - left, 0.15)}%`, y: 2, height: 16, class: kind });
        const ended = term.end ? `ended: ${this.why(term.end)}, ${clock(term.end.at)}` : "goes on";
        bar.append(svg("title", {}, `term ${term.number ?? "?"} of ${term.host}, from ${clock(term.since)}, ${ended}`));
        picture.append(bar);
        if (term.end && ["failed", "lost", "revoked"].includes(term.end.reason) && term.to >= from && term.to <= to) {
          picture.append(svg("rect", { x: `${Math.max(0, right - 0.25)}%`, width: "0.5%", y: 0, height: 20, class: "end" }));
        }
      }
      row.append(name, picture);
      return row;
    });
    const axis = make("div", undefined, "lane axis");
    const scale = svg("svg", { "aria-hidden": "true" });
    const days = to - from > 86_400_000;
    for (const part of [0, 0.33, 0.66]) {
      const time = new Date(from + part * (to - from));
      const text = days ? time.toLocaleDateString() : time.toLocaleTimeString(undefined, { hour12: false });
      scale.append(svg("text", { x: `${100 * part}%`, y: 13 }, text));
    }
    axis.append(make("span"), scale);
    steady(() => this.drawn.replaceChildren(...drawn, axis));
    this.legend.replaceChildren(...[...seen].slice(0, 24).map(([host, kind]) => {
      const item = make("span");
      const mark = svg("svg", { "aria-hidden": "true" });
      mark.append(svg("rect", { width: 11, height: 11, class: kind }));
      item.append(mark, make("span", host));
      return item;
    }));
  }
  why(end) { return end.cause ? `${end.reason}, ${end.cause}` : end.reason; }
  words(lane, shown) {
    const latest = shown[0];
    return `${lane.task}: ${shown.length} terms${latest ? `, the latest of ${latest.host}` : ""}`;
  }
}

const timelines = { all: new Timeline($("timeline-all")), one: new Timeline($("timeline-one")) };

// ---- one task

function fact(list, name, value, kind) {
  if (value === null || value === undefined || value === "") return;
  const box = make("div", undefined, kind);
  box.append(make("dt", name), make("dd", value));
  list.append(box);
}

let drawnTerms = "";
let drawnKeys = "";
function showTask(name, told) {
  $("one-none").hidden = told !== null;
  $("one-there").hidden = told === null;
  if (told === null) return;
  const { row } = told;
  const leader = row.leader;
  badge($("one-health"), row.health);
  put($("one-leader"), leader?.host ?? "nobody");
  put($("one-term"), leader?.term ?? "");
  put($("one-token"), leader?.fencing_token ?? "");
  since($("one-since"), leader?.since);
  put($("one-generation"), leader?.generation ?? "none: by configuration");
  put($("one-digest"), (leader?.digest ?? "").slice(0, 12));
  $("one-digest").title = leader?.digest ?? "";
  put($("one-restarts"), row.restarts ?? "");
  rows($("one-standbys"), row.standbys, (host) => host, () => make("li"), put);
  const failure = row.failure;
  put($("one-failure"), failure ? `${failure.cause}${failure.detail ? `: ${failure.detail}` : ""}, on ${failure.host} in term ${failure.term}, ${clock(failure.at)}${row.retry_at ? `; tried again at ${clock(row.retry_at)}` : ""}` : "none is known");
  const before = health.get(name);
  const is = `${row.health} ${leader?.host ?? ""}`;
  if (before !== undefined && before !== is) say(leader ? `led by ${leader.host}, ${row.health}` : `nobody leads, ${row.health}`);
  health.set(name, is);

  showOrders(told);
  const written = JSON.stringify(told.terms);
  if (written !== drawnTerms) {
    drawnTerms = written;
    timelines.one.show([{ task: name, terms: told.terms }], false);
    rows($("history-rows"), told.terms, (term) => String(term.fencing_token ?? term.number), () => tableRow(["Term", "Host", "From", "Lasted", "Ended", "Why"]), (row, term) => {
      const cells = row.children;
      put(cells[0], term.number ?? "");
      put(cells[1], term.host);
      put(cells[2], clock(term.since));
      if (term.end) {
        delete cells[3].dataset.since;
        put(cells[3], span(Date.parse(term.end.at) - Date.parse(term.since)));
      } else since(cells[3], term.since);
      put(cells[4], term.end ? (term.end.cause ? `${term.end.reason}: ${term.end.cause}` : term.end.reason) : "goes on");
      put(cells[5], term.end?.detail ?? "");
      cells[5].classList.toggle("empty", !cells[5].textContent);
    });
  }

  $("rollout").hidden = !told.rollout && !told.hosts.length;
  put($("rollout-title"), told.rollout ? "Rollout" : "On each host");
  const facts = $("rollout-facts");
  facts.replaceChildren();
  const rollout = told.rollout;
  facts.hidden = !rollout;
  if (rollout) {
    fact(facts, "Stage", rollout.stage);
    fact(facts, "Current generation", rollout.current);
    fact(facts, "Wanted generation", rollout.wanted);
    fact(facts, "Goes back to", rollout.back);
    fact(facts, "Generations kept", told.generations.join(", "));
    if (rollout.paused) fact(facts, "Paused", rollout.paused.reason || "yes", "wide");
    if (rollout.failure) fact(facts, "Taken back", `generation ${rollout.failure.from}: ${rollout.failure.cause}${rollout.failure.detail ? `: ${rollout.failure.detail}` : ""}`, "wide");
    if (rollout.changed) fact(facts, "Changed", `by ${rollout.changed.by}, ${clock(rollout.changed.at)}${rollout.changed.reason ? `: ${rollout.changed.reason}` : ""}`, "wide");
    fact(facts, "Cannot be read", rollout.problem, "wide");
  }
  rows($("readiness-rows"), told.hosts, (host) => host.host, () => tableRow(["Host", "Generation", "State", "Plugin"]), (row, host) => {
    const cells = row.children;
    put(cells[0], host.host);
    put(cells[1], host.generation ?? "");
    put(cells[2], host.reason ? `${host.state}: ${host.reason}` : (host.state ?? ""));
    put(cells[3], (host.digest ?? "").slice(0, 12));
    for (const cell of cells) cell.classList.toggle("empty", !cell.textContent);
  });

  $("plans").hidden = !told.plans.length;
  rows($("plan-rows"), told.plans, (plan) => plan.name, () => tableRow(["Schedule", "Rule", "Last slot", "Missed since", "Next slots"]), (row, plan) => {
    const cells = row.children;
    put(cells[0], plan.name);
    put(cells[1], plan.problem ?? plan.rule);
    const last = plan.last;
    put(cells[2], last ? `${clock(last.at)}, ${last.done ? "completed" : "not completed"}, attempt ${last.attempt}` : "none");
    put(cells[3], plan.missed ?? "");
    put(cells[4], (plan.next ?? []).map(clock).join("; "));
  });

  const keys = JSON.stringify([told.keys, hello.values]);
  if (keys !== drawnKeys) {
    drawnKeys = keys;
    const hidden = told.keys_all - told.keys.length;
    put($("keys-note"), !told.keys_all ? "The plugin keeps nothing." : `${told.keys_all === 1 ? "One key" : `${told.keys_all} keys`}${hidden ? `, ${hidden} of them are not shown` : ""}. ${hello.values ? "A value is shown when it is asked for." : "Values are hidden: the host shows them with listen_values."}`);
    rows($("keys"), told.keys, (key) => key, (key) => {
      const item = make("li");
      item.append(make("span", key));
      return item;
    }, (item, key) => {
      const button = item.querySelector("button");
      if (hello.values && !button) item.append(valueButton(name, key, item));
      else if (!hello.values) button?.remove();
    });
  }
}

function valueButton(task, key, item) {
  const button = make("button", "Show");
  button.type = "button";
  button.setAttribute("aria-label", `Show the value of ${key}`);
  button.addEventListener("click", async () => {
    const there = item.querySelector("pre");
    if (there) {
      there.remove();
      return put(button, "Show");
    }
    const box = make("pre");
    try {
      const told = await (await ask(`/api/state/${encodeURIComponent(task)}?key=${encodeURIComponent(key)}`)).json();
      const more = told.shown < told.bytes ? `\n… ${told.bytes} bytes in all` : "";
      put(box, `${told.text ? told.value : `${told.bytes} bytes: ${told.value}`}${more}`);
    } catch (error) {
      put(box, error.message);
    }
    item.append(box);
    put(button, "Hide");
  });
  return button;
}

const LOG_MAX = 1000;
function showLines(told) {
  const log = $("log");
  const lines = told.lines.map((line) => {
    const row = make("div");
    if (typeof line !== "object" || line === null) return put(row, line);
    const { timestamp, level, host, event, message, ...rest } = line;
    const word = String(level ?? "").toLowerCase();
    if (word === "warn" || word === "error") row.className = word;
    const at = new Date(timestamp);
    const time = make("time", Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString(undefined, { hour12: false }));
    time.title = String(timestamp ?? "");
    for (const name of ["task", "term", "fencing_token", "fields"]) delete rest[name];
    const { fields } = line;
    const of_plugin = typeof fields === "object" && fields !== null ? Object.entries(fields) : [];
    const more = [...of_plugin, ...Object.entries(rest)].map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
    row.append(time, ` ${event ?? ""} ${message ?? ""} ${more.join(" ")}`);
    return row;
  });
  if (told.missed) lines.unshift(make("div", `${told.missed} lines were missed`, "warn"));
  log.append(...lines);
  while (log.children.length > LOG_MAX) log.firstElementChild.remove();
  if ($("follow").checked) log.scrollTop = log.scrollHeight;
}
$("follow").addEventListener("change", () => { if ($("follow").checked) $("log").scrollTop = $("log").scrollHeight; });

function showLogNote(told) {
  const note = $("log-note");
  if (hello.lines === false) return put(note, "Lines are shown where the host asks for a token, or on its machine alone.");
  const leader = told?.row?.leader?.host;
  const text = leader && leader !== hello.host ? `These are the lines of host ${hello.host}, which stands by. The leader's are on its page: ` : "";
  if (note.dataset.text === text + (told?.leader_listen ?? "")) return;
  note.dataset.text = text + (told?.leader_listen ?? "");
  put(note, text);
  if (text) {
    const link = make("a");
    link.rel = "noreferrer noopener";
    open(link, told.leader_listen, location.hash);
    note.append(link.href ? link : make("span", "it does not listen."));
  }
}

// ---- where one is

function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  terms?.abort();
  terms = null;
  leases.clear();
  health.clear();
  $("login").hidden = true;
  const task = path.match(/^task\/(.+)$/);
  if (task) {
    let name;
    try { name = decodeURIComponent(task[1]); } catch { name = task[1]; }
    if ($("one").dataset.task !== name) {
      $("one").dataset.task = name;
      $("log").replaceChildren();
      $("history-rows").replaceChildren();
      $("keys").replaceChildren();
      put($("keys-note"), "");
      drawnTerms = drawnKeys = "";
      timelines.one.reset();
      put($("order-said"), "");
      $("order-sure").hidden = true;
    }
    $("one-none").hidden = $("one-there").hidden = true;
    put($("one-title"), name);
    document.title = `${name} – Soloist`;
    $("all").hidden = true;
    $("one").hidden = false;
    $("one-title").focus({ preventScroll: true });
    scrollTo(0, 0);
    let shown = false;
    follow(`/api/live?task=${encodeURIComponent(name)}`, (event, data) => {
      if (event === "task") {
        showTask(name, data);
        showLogNote(data);
      } else if (event === "tick") {
        lease($("one-lease"), name, data.lease);
        put($("seen"), "");
      } else if (event === "lines") {
        // A stream that begins anew begins with the latest lines again.
        if (!shown) $("log").replaceChildren();
        shown = true;
        showLines(data);
      }
      if (event === "again") {
        shown = false;
        drawnKeys = "";
      }
    });
    return;
  }
  filters = {};
  const given = new URLSearchParams(search ?? "");
  for (const name of FILTERS) if (given.has(name)) filters[name] = given.get(name);
  filters.page = Number.parseInt(filters.page, 10) || 0;
  filters.hosts = Number.parseInt(filters.hosts, 10) || 0;
  filters.down = filters.down === "true";
  for (const id of ["q", "health", "host"]) {
    if (document.activeElement !== $(id)) $(id).value = filters[id] ?? "";
  }
  for (const head of document.querySelectorAll("th[data-sort]")) {
    if ((filters.sort ?? "name") === head.dataset.sort) head.setAttribute("aria-sort", filters.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  document.title = "Soloist";
  const was = $("all").hidden;
  $("one").hidden = true;
  $("all").hidden = false;
  if (was && $("one").dataset.task) $("main").focus({ preventScroll: true });
  follow(`/api/live?${query()}`, (event, data) => {
    if (event === "tasks") showTasks(data);
    else if (event === "tick") showTick(data);
  });
}

// The address says where one is, so this link must not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
addEventListener("hashchange", route);
route();
