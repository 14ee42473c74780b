// Which generation of a task is run, what each host has of it, and its schedules.

function fact(list, name, value, kind) {
  if (value === null || value === undefined || value === "") return;
  const box = make("div", undefined, kind);
  box.append(make("dt", name), make("dd", value));
  list.append(box);
}

function showRollout(told) {
  $("rollout").hidden = !told.rollout && !told.hosts.length;
  put($("rollout-title"), told.rollout ? "Rollout" : "On each host");
  const { rollout } = told;
  const facts = $("rollout-facts");
  facts.replaceChildren();
  facts.hidden = !rollout;
  if (!rollout) return;
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

function showReadiness(hosts) {
  rows($("readiness-rows"), hosts, (host) => host.host, () => tableRow(["Host", "Generation", "State", "Plugin"]), (row, host) => {
    const cells = row.children;
    put(cells[0], host.host);
    put(cells[1], host.generation ?? "");
    put(cells[2], host.reason ? `${host.state}: ${host.reason}` : (host.state ?? ""));
    put(cells[3], (host.digest ?? "").slice(0, 12));
    markEmpty(row);
  });
}

function showPlans(plans) {
  $("plans").hidden = !plans.length;
  rows($("plan-rows"), plans, (plan) => plan.name, () => tableRow(["Schedule", "Rule", "Last slot", "Missed since", "Next slots"]), (row, plan) => {
    const cells = row.children;
    put(cells[0], plan.name);
    put(cells[1], plan.problem ?? plan.rule);
    const last = plan.last;
    put(cells[2], last ? `${clock(last.at)}, ${last.done ? "completed" : "not completed"}, attempt ${last.attempt}` : "none");
    put(cells[3], plan.missed ?? "");
    put(cells[4], (plan.next ?? []).map(clock).join("; "));
  });
}
