// Terms over time.

const PALETTE = 8;

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
