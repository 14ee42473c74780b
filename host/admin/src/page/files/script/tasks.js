// All tasks.

const TASK = ["Task", "Health", "Leader", "Term", "Generation", "Leads for", "Lease left", "Standbys", "Restarts", "Last failure"];

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
  sayChange(told, true);
}

// How many tasks fare how: a choice of which are shown.
function showSummary(told) {
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
}

function showTasks(told) {
  showSummary(told);
  rows($("rows"), told.rows, (row) => row.task, newTask, updateTask);
  put($("tasks-count"), told.matched === told.tasks ? `${told.tasks}` : `${told.matched} of ${told.tasks}`);
  put($("page"), `page ${told.page + 1} of ${told.pages}`);
  $("before").disabled = told.page === 0;
  $("after").disabled = told.page + 1 >= told.pages;
  filters.page = told.page;
  showHosts(told.hosts);
  if (!performance.getEntriesByName("soloist-rows").length) performance.mark("soloist-rows");
  if ($("terms-all").open) lanes();
}

function showTick(tick) {
  skew = Date.parse(tick.at) - Date.now();
  put($("seen"), `read ${tick.age.toFixed(1)} s ago, within ${Math.round(tick.took * 1000)} ms`);
  // A task may be called `constructor`, which every object seems to have.
  const left = new Map(Object.entries(tick.leases));
  for (const row of $("rows").children) {
    const told = left.get(row.dataset.key);
    lease(row.children[6], row.dataset.key, told);
    row.children[6].classList.toggle("empty", !told);
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
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.firstElementChild.addEventListener("click", () => {
    const sort = head.dataset.sort;
    const down = (filters.sort ?? "name") === sort && !filters.down;
    go({ sort: sort === "name" ? "" : sort, down });
  });
}

// The terms that are being asked for.
let asked = null;
async function lanes() {
  if (asked) return;
  asked = new AbortController();
  const mine = asked;
  try {
    const told = await (await ask(`/api/terms?${query()}`, mine.signal)).json();
    timelines.all.show(told.lanes, true);
  } catch (error) {
    if (!mine.signal.aborted && !(error instanceof Unauthorized)) timelines.all.fail(error.message);
  }
  // What changes meanwhile is asked for when that is shown.
  setTimeout(() => { if (asked === mine) asked = null; }, 1000);
}
$("terms-all").addEventListener("toggle", () => { if ($("terms-all").open) lanes(); });
