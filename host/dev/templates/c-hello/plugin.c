#include "soloist.h"

SOLOIST_ON_ELECTED(void) {
    soloist_term term = soloist_current_term();
    soloist_log(SOLOIST_INFO, "hello from %s, leader of %s", term.host.data, term.task.data);
}

SOLOIST_ON_DEMOTED(void) {
    soloist_log(SOLOIST_INFO, "demoted");
}
