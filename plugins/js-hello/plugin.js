// Says at the configured interval who leads, until leadership ends.

import { get } from "wasi:config/store@0.2.0-rc.1";
import { shouldStop } from "soloist:plugin/leadership@0.1.0";
import { log } from "soloist:plugin/log@0.1.0";

export function onElected(term) {
  log("info", `hello from ${term.host}, leader of ${term.task} in term ${term.number}`, []);
}

export function onDemoted(reason) {
  log("info", `demoted: ${reason}`, []);
}
