// What the plugin of a task keeps.

// The keys that are drawn, as JSON, and whether values may be shown.
let drawnKeys = "";

function showKeys(name, told) {
  const keys = JSON.stringify([told.keys, hello.values]);
  if (keys === drawnKeys) return;
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
