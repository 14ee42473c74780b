// The log of one task.

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
