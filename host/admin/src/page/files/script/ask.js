// What the host is asked for, and what it tells as long as somebody looks.

const TOKEN = "soloist-token";

// The token is kept in this tab. It is no cookie, which a browser would send by itself, also when another site asks it to.
let token = sessionStorage.getItem(TOKEN) ?? "";
let hello = {};
let stream = null;

class Unauthorized extends Error {}

async function ask(path, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal, cache: "no-store", redirect: "error" });
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) throw new Error((await response.text()).trim().slice(0, 300) || `status ${response.status}`);
  return response;
}

// Server-sent events, read with fetch: the browser's own reader of them cannot show a token.
async function listen(path, hear, signal) {
  const response = await ask(path, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = {};
        for (const line of text.slice(0, end).split("\n")) {
          const colon = line.indexOf(": ");
          if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
        }
        text = text.slice(end + 2);
        if (event.data !== undefined) hear(event.event, JSON.parse(event.data));
      }
    }
  } finally {
    // Otherwise the host would go on with a stream that nobody reads. One that has failed cannot be cancelled, and need not be.
    reader.cancel().catch(() => {});
  }
}

function follow(path, hear) {
  stream?.abort();
  const mine = (stream = new AbortController());
  (async () => {
    let pause = 500;
    while (!mine.signal.aborted) {
      try {
        await listen(path, (event, data) => {
          if (mine.signal.aborted) return;
          pause = 500;
          if (event === "hello") {
            greet(data);
            hear("again", data);
          }
          if (event === "trouble") trouble(data.text && `The host cannot read the ensemble: ${data.text}`);
          else if (event !== "hello") hear(event, data);
        }, mine.signal);
      } catch (error) {
        if (mine.signal.aborted) return;
        if (error instanceof Unauthorized) return login();
        trouble(`What is shown may be out of date: ${error.message}`);
        await new Promise((done) => setTimeout(done, pause));
        pause = Math.min(2 * pause, 10_000);
      }
    }
  })();
}

function trouble(text) {
  $("trouble").hidden = !text;
  put($("trouble"), text);
}

function greet(data) {
  const other = hello.host && hello.host !== data.host;
  hello = data;
  trouble("");
  put($("from"), `as host ${data.host} sees it`);
  $("from").title = `version ${data.version}`;
  if (other) say(`shown by host ${data.host} now`);
}
