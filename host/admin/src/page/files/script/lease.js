// Leases: bars that move.

let leases = new Map();

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
