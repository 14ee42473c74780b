// All hosts.

const HOST = ["Host", "Leads", "Labels", "Version", "Runs for", "Drained", "Its page"];

function newHost() {
  const row = tableRow(HOST);
  row.children[0].className = "name";
  const link = make("a", "open");
  link.rel = "noreferrer noopener";
  row.children[6].append(link);
  return row;
}

function updateHost(row, told) {
  const cells = row.children;
  put(cells[0], told.host);
  put(cells[1], told.leads === null ? "" : told.max_active === null ? told.leads : `${told.leads} of ${told.max_active}`);
  rows(cells[2], told.labels, (label) => label, () => make("span", undefined, "label"), put);
  put(cells[3], told.version ?? "");
  since(cells[4], told.started);
  put(cells[5], told.drained ?? (told.there ? "" : "absent"));
  open(cells[6].firstElementChild, told.listen, "");
  markEmpty(row);
}

// Whatever a host says of where it listens: only an address of HTTP becomes a link.
function open(link, listens, path) {
  let url = null;
  try { url = new URL(listens ?? ""); } catch { /* it is no address */ }
  const fits = url && (url.protocol === "http:" || url.protocol === "https:") && !url.username && !url.password;
  if (fits) link.href = `${url.origin}/${path}`;
  else link.removeAttribute("href");
  put(link, fits ? url.host : "");
}

function showHosts(told) {
  rows($("host-rows"), told.rows, (host) => host.host, newHost, updateHost);
  put($("hosts-count"), told.all);
  put($("hosts-page"), `page ${told.page + 1} of ${told.pages}`);
  $("hosts-pager").hidden = told.pages < 2;
  $("hosts-before").disabled = told.page === 0;
  $("hosts-after").disabled = told.page + 1 >= told.pages;
  filters.hosts = told.page;
}

$("hosts-before").addEventListener("click", () => go({ page: filters.page, hosts: filters.hosts - 1 }));
$("hosts-after").addEventListener("click", () => go({ page: filters.page, hosts: filters.hosts + 1 }));
