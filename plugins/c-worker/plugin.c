/* Does one piece of work after another, and keeps in the state how far it is: whoever leads next goes on from there. */

#include "soloist.h"

#include <unistd.h>

SOLOIST_ON_ELECTED(uint64_t number, uint64_t fencing_token) {
    char *configured = soloist_config("interval_ms");
    useconds_t interval_us = (configured ? strtoul(configured, NULL, 10) : 1000) * 1000;
    soloist_term term = soloist_current_term();
    soloist_entry done;
    if (soloist_state_get("done", &done) != SOLOIST_DONE) {
        exit(1);
    }
    uint64_t piece = done.value.data ? strtoull(done.value.data, NULL, 10) : 0;
    soloist_log(SOLOIST_INFO, "%s leads in term %llu, token %llu; %llu done", term.host.data, number, fencing_token, piece);
    while (!soloist_should_stop()) {
        char text[24];
        int length = snprintf(text, sizeof text, "%llu", ++piece);
        soloist_log(SOLOIST_INFO, "piece %s", text);
        if (soloist_state_set("done", text, length) != SOLOIST_DONE) {
            exit(1);
        }
        usleep(interval_us);
    }
}

SOLOIST_ON_DEMOTED(void) {
    soloist_log(SOLOIST_INFO, "demoted");
}
