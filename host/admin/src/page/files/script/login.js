// Who may see it.

function login() {
  $("all").hidden = $("one").hidden = true;
  $("login").hidden = false;
  put($("login-title"), "This host asks for a token");
  put($("token-of"), "listen_token_file");
  put($("login-said"), token ? "That is not the token." : "");
  token = "";
  sessionStorage.removeItem(TOKEN);
  $("token").focus();
}

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem(TOKEN, token);
  $("login").hidden = true;
  route();
});
