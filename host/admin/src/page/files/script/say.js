// What is read out to who does not see the page.

let said = [];
function say(text) {
  said.push(text);
  if (said.length > 3) said = [`${said.length} changes`];
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { put($("said"), said.join(". ")); said = []; }, 700);
}

// How each task fared when it was last shown.
const health = new Map();

// Says who leads and how the plugin fares, if that has changed: with the name of the task where several are shown.
function sayChange({ task, health: fares, leader }, isNamed) {
  const is = `${fares} ${leader?.host ?? ""}`;
  const before = health.get(task);
  health.set(task, is);
  if (before === undefined || before === is) return;
  if (leader) say(`${isNamed ? `${task} is ` : ""}led by ${leader.host}, ${fares}`);
  else say(`nobody leads${isNamed ? ` ${task}` : ""}, ${fares}`);
}
