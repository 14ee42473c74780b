// Where one is: the address says it.

// Which tasks and hosts are shown, in what order: it stands in the address.
const FILTERS = ["q", "health", "host", "sort", "down", "page", "hosts"];
let filters = {};

function query(more = {}) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...filters, ...more })) {
    if (value !== "" && value !== undefined && value !== null && value !== false && value !== 0) all.set(name, value);
  }
  return all.toString();
}

function go(change) {
  const next = query({ page: 0, ...change });
  location.hash = next ? `#/?${next}` : "#/";
}

function address(task) {
  return `#/task/${encodeURIComponent(task)}`;
}

function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  asked?.abort();
  asked = null;
  leases.clear();
  health.clear();
  $("login").hidden = true;
  const task = path.match(/^task\/(.+)$/);
  if (task) lookAtTask(task[1]);
  else lookAtTasks(search ?? "");
}

function lookAtTask(written) {
  let name = written;
  try { name = decodeURIComponent(written); } catch { /* it is shown as it is written */ }
  if ($("one").dataset.task !== name) beginTask(name);
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
}

// Takes away what is shown of another task.
function beginTask(name) {
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

function lookAtTasks(search) {
  filters = {};
  const given = new URLSearchParams(search);
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
