#include "soloist.h"

#include <unistd.h>

SOLOIST_ON_ELECTED(uint64_t number, uint64_t fencing_token) {
    while (!soloist_should_stop()) {
        soloist_entry done;
        if (soloist_state_get("done", &done) != SOLOIST_DONE) {
            exit(1);
        }
        uint64_t item = done.value.data ? strtoull(done.value.data, NULL, 10) + 1 : 1;
        free(done.value.data);
        /* The work on the item stands here. Hand the token to whatever it changes. */
        soloist_log(SOLOIST_INFO, "item %llu, with token %llu in term %llu", item, fencing_token, number);
        char text[24];
        int length = snprintf(text, sizeof text, "%llu", item);
        if (soloist_state_set("done", text, length) != SOLOIST_DONE) {
            exit(1);
        }
        sleep(1);
    }
}

SOLOIST_ON_DEMOTED(void) {
    soloist_log(SOLOIST_INFO, "demoted");
}
