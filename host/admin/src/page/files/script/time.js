// Times, as people read them.

// How far the clock of the host is ahead of that of the browser, in milliseconds.
let skew = 0;

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
