// Says at the configured interval who leads, until leadership ends.

import { sleep } from "soloist:plugin/blocking-clock@0.1.0";
import { log } from "soloist:plugin/log@0.1.0";
import { get as config } from "wasi:config/store@0.2.0-rc.1";

export function onElected(term) {
  log("info", `hello from ${term.host}, leader of ${term.task} in term ${term.number}`, []);
  const interval = Number(config("interval_ms") ?? 1000) * 1e6;
  let beat = 0;
  do {
    log("info", `beat ${++beat}`, []);
  } while (!sleep(interval));
}

export function onDemoted(reason) {
  log("info", `demoted: ${reason}`, []);
}
