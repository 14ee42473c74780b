// Orders: what somebody may have a task do.

function showOrders(told) {
  $("orders").hidden = !["token", "given"].includes(hello.orders) || !told;
  if (!told) return;
  $("orders-ask").hidden = hello.orders === "given";
  $("order-form").hidden = hello.orders !== "given";
  const hosts = ["", ...told.row.standbys];
  rows($("order-to"), hosts, (host) => host, () => make("option"), (option, host) => {
    option.value = host;
    put(option, host || "the next in the queue");
  });
}

$("orders-ask").addEventListener("click", () => {
  stream?.abort();
  login();
  put($("login-title"), "Orders ask for another token");
  put($("token-of"), "listen_admin_token_file");
});
$("order").addEventListener("change", () => { $("order-to-label").hidden = $("order").value !== "resign"; });
$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const to = $("order").value === "resign" && $("order-to").value;
  put($("order-asked"), `Have ${$("one").dataset.task} ${$("order").value}${to ? ` to ${to}` : ""}?`);
  $("order-sure").hidden = false;
  $("order-no").focus();
});
$("order-no").addEventListener("click", () => {
  $("order-sure").hidden = true;
  $("order").focus();
});
$("order-yes").addEventListener("click", async () => {
  $("order-sure").hidden = true;
  $("order").focus();
  put($("order-said"), "ordered …");
  const body = { order: $("order").value };
  if (body.order === "resign" && $("order-to").value) body.to = $("order-to").value;
  if ($("order-reason").value.trim()) body.reason = $("order-reason").value.trim();
  try {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const path = `/api/order/${encodeURIComponent($("one").dataset.task)}`;
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), redirect: "error" });
    const text = (await response.text()).trim().slice(0, 500);
    put($("order-said"), response.ok ? text : `Not done: ${text}`);
  } catch (error) {
    put($("order-said"), `It is not known whether that was done: ${error.message}`);
  }
});
