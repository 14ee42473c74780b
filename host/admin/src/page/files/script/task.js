// One task.

// The terms that are drawn, as JSON.
let drawnTerms = "";

function showTask(name, told) {
  $("one-none").hidden = told !== null;
  $("one-there").hidden = told === null;
  if (told === null) return;
  showFacts(told.row);
  sayChange(told.row, false);
  showOrders(told);
  showTerms(name, told.terms);
  showRollout(told);
  showReadiness(told.hosts);
  showPlans(told.plans);
  showKeys(name, told);
}

function showFacts(row) {
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
}

function showTerms(name, terms) {
  const written = JSON.stringify(terms);
  if (written === drawnTerms) return;
  drawnTerms = written;
  timelines.one.show([{ task: name, terms }], false);
  rows($("history-rows"), terms, (term) => String(term.fencing_token ?? term.number), () => tableRow(["Term", "Host", "From", "Lasted", "Ended", "Why"]), (row, term) => {
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
