/* What a Soloist plugin in C can call. One file, no generator, no library:
 *
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 worker.c -o worker.wasm
 *
 * A plugin exports two functions, each with all of these numbers or without the last ones:
 *
 *     SOLOIST_ON_ELECTED(uint64_t number, uint64_t fencing_token) { ... }
 *     SOLOIST_ON_DEMOTED(uint64_t number) { ... }
 *
 * Nobody can call it while `on_elected` runs, so `on_elected` has to ask soloist_should_stop() and to return when that is true.
 * Once it has asked, a sleep or a poll that is under way when demotion begins returns early.
 *
 * Texts and bytes that a function returns are yours: free() them. The byte after the last one is always zero.
 * What each function means, and what its limits are, stands in ../wit/plugin.wit. */

#ifndef SOLOIST_H
#define SOLOIST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOLOIST_ON_ELECTED(...) __attribute__((export_name("on_elected"))) void on_elected(__VA_ARGS__)
#define SOLOIST_ON_DEMOTED(...) __attribute__((export_name("on_demoted"))) void on_demoted(__VA_ARGS__)

#define SOLOIST_IMPORT(name) __attribute__((import_module("soloist"), import_name(#name)))

/* Bytes and how many they are. */
typedef struct {
    char *data;
    size_t length;
} soloist_bytes;

/* One tenure of leadership of one task. */
typedef struct {
    uint64_t number;
    uint64_t fencing_token;
    soloist_bytes task;
    soloist_bytes host;
} soloist_term;

typedef enum { SOLOIST_TRACE, SOLOIST_DEBUG, SOLOIST_INFO, SOLOIST_WARN, SOLOIST_ERROR } soloist_level;

/* What became of a call of the state. */
typedef enum {
    SOLOIST_DONE = -1,
    SOLOIST_BAD_KEY,
    SOLOIST_TOO_LARGE,
    SOLOIST_TOO_MANY,
    SOLOIST_CHANGED,
    SOLOIST_UNAVAILABLE,
} soloist_status;

/* A value of the state and its version. */
typedef struct {
    soloist_bytes value;
    uint64_t version;
} soloist_entry;

/* The version of an entry, if it is there. */
typedef struct {
    bool is_there;
    uint64_t version;
} soloist_expected;

/* How the host passes what it returns. */
typedef struct {
    uint8_t failed;
    union {
        struct {
            uint8_t is_there;
            soloist_entry entry;
        } read;
        uint64_t version;
        struct {
            uint8_t status;
            union {
                soloist_bytes reason;
                struct {
                    uint8_t is_there;
                    uint64_t version;
                } changed;
            };
        } error;
    };
} soloist_answer;

typedef struct {
    uint8_t failed;
    union {
        struct {
            uint8_t is_there;
            soloist_bytes value;
        } read;
        struct {
            uint8_t kind;
            soloist_bytes reason;
        } error;
    };
} soloist_config_answer;

SOLOIST_IMPORT(should_stop) bool soloist_should_stop(void);
/* Sleeps for so many nanoseconds, or until demotion begins, and says whether it has. */
SOLOIST_IMPORT(sleep) bool soloist_sleep(uint64_t nanoseconds);
/* In nanoseconds. */
SOLOIST_IMPORT(remaining) uint64_t soloist_remaining(void);
SOLOIST_IMPORT(current_term) void soloist_import_current_term(soloist_term *term);
SOLOIST_IMPORT(resign) void soloist_import_resign(const char *reason, size_t length);
SOLOIST_IMPORT(log)
void soloist_import_log(int32_t level, const char *message, size_t length, const void *fields, size_t count);
SOLOIST_IMPORT(config_get)
void soloist_import_config_get(const char *key, size_t length, soloist_config_answer *answer);
SOLOIST_IMPORT(state_get) void soloist_import_state_get(const char *key, size_t length, soloist_answer *answer);
SOLOIST_IMPORT(state_set)
void soloist_import_state_set(const char *key, size_t key_length, const void *value, size_t length, soloist_answer *answer);
SOLOIST_IMPORT(state_delete) void soloist_import_state_delete(const char *key, size_t length, soloist_answer *answer);
SOLOIST_IMPORT(state_compare_and_set)
void soloist_import_state_compare_and_set(const char *key, size_t key_length, int32_t is_expected, uint64_t version,
                                          const void *value, size_t length, soloist_answer *answer);

/* The host puts here what it returns. */
__attribute__((export_name("cabi_realloc"), weak)) void *cabi_realloc(void *old, size_t old_size, size_t align,
                                                                     size_t new_size) {
    (void)old_size;
    (void)align;
    char *memory = realloc(old, new_size + 1);
    if (memory == NULL) {
        abort();
    }
    memory[new_size] = 0;
    return memory;
}

/* The term that the plugin acts in. */
static inline soloist_term soloist_current_term(void) {
    soloist_term term;
    soloist_import_current_term(&term);
    return term;
}

/* Gives leadership up. */
static inline void soloist_resign(const char *reason) {
    soloist_import_resign(reason, strlen(reason));
}

/* Writes a line of the log, like printf and without its end of line. printf itself writes to the log as well, but keeps what it
 * writes until fflush(stdout). */
__attribute__((format(printf, 2, 3))) static inline void soloist_log(soloist_level level, const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *message = NULL;
    int length = vasprintf(&message, format, values);
    va_end(values);
    if (length < 0) {
        abort();
    }
    soloist_import_log(level, message, (size_t)length, NULL, 0);
    free(message);
}

/* The value of a key in the task's configuration, or NULL. */
static inline char *soloist_config(const char *key) {
    soloist_config_answer answer;
    soloist_import_config_get(key, strlen(key), &answer);
    if (answer.failed) {
        free(answer.error.reason.data);
        return NULL;
    }
    return answer.read.is_there ? answer.read.value.data : NULL;
}

/* What became of a call. The version that an entry has, where it is not the one expected, goes to `version`, if that is not
 * NULL; the reason of a refusal goes to the log. */
static inline soloist_status soloist_outcome(const soloist_answer *answer, soloist_expected *version) {
    if (!answer->failed) {
        return SOLOIST_DONE;
    }
    soloist_status status = (soloist_status)answer->error.status;
    if (status == SOLOIST_BAD_KEY || status == SOLOIST_UNAVAILABLE) {
        soloist_import_log(SOLOIST_WARN, answer->error.reason.data, answer->error.reason.length, NULL, 0);
        free(answer->error.reason.data);
    } else if (status == SOLOIST_CHANGED && version != NULL) {
        version->is_there = answer->error.changed.is_there;
        version->version = answer->error.changed.version;
    }
    return status;
}

/* Reads an entry. The value is NULL if it is not there. */
static inline soloist_status soloist_state_get(const char *key, soloist_entry *entry) {
    soloist_answer answer;
    soloist_import_state_get(key, strlen(key), &answer);
    memset(entry, 0, sizeof *entry);
    if (!answer.failed && answer.read.is_there) {
        *entry = answer.read.entry;
    }
    return soloist_outcome(&answer, NULL);
}

/* Writes an entry, whether it is there or not. */
static inline soloist_status soloist_state_set(const char *key, const void *value, size_t length) {
    soloist_answer answer;
    soloist_import_state_set(key, strlen(key), value, length, &answer);
    return soloist_outcome(&answer, NULL);
}

/* Deletes an entry, if it is there. */
static inline soloist_status soloist_state_delete(const char *key) {
    soloist_answer answer;
    soloist_import_state_delete(key, strlen(key), &answer);
    return soloist_outcome(&answer, NULL);
}

/* Writes an entry if it is as expected, and says then, or if it is not, which version it has. */
static inline soloist_status soloist_state_compare_and_set(const char *key, soloist_expected *version, const void *value,
                                                           size_t length) {
    soloist_answer answer;
    soloist_import_state_compare_and_set(key, strlen(key), version->is_there, version->version, value, length, &answer);
    if (!answer.failed) {
        version->is_there = true;
        version->version = answer.version;
    }
    return soloist_outcome(&answer, version);
}

#endif
