import { log } from "soloist:plugin/log@0.1.0";

import { greeting } from "./work.js";

export function onElected(term) {
  log("info", greeting(term.host, term.task), []);
}

export function onDemoted(reason) {
  log("info", `demoted: ${reason}`, []);
}
