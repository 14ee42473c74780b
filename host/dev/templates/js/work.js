// What the plugin does, without the host.

export function greeting(host, task) {
  return `hello from ${host}, leader of ${task}`;
}
