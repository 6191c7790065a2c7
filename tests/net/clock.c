/* SPDX-License-Identifier: MIT */
/*
 * A wall clock that a test sets: preloaded into a daemon (LD_PRELOAD). All other clocks stay real.
 *
 * The file that TUNLITE_TEST_CLOCK names holds one line, "OFFSET SYNCHRONISED": seconds added to
 * CLOCK_REALTIME, and 1 or 0 for what adjtimex(2) says. It is read anew each time.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define PRELOADED __attribute__((visibility("default")))

struct setting {
    long offset;
    int synchronised;
};

static struct setting read_setting(void) {
    struct setting found = {0, 1};
    const char *name = getenv("TUNLITE_TEST_CLOCK");
    FILE *file = name ? fopen(name, "r") : NULL;
    if (!file || fscanf(file, "%ld %d", &found.offset, &found.synchronised) != 2)
        abort();
    fclose(file);
    return found;
}

PRELOADED int clock_gettime(clockid_t clock, struct timespec *out) {
    if (syscall(SYS_clock_gettime, clock, out))
        return -1;
    if (clock == CLOCK_REALTIME)
        out->tv_sec += read_setting().offset;
    return 0;
}

PRELOADED int adjtimex(struct timex *out) {
    if (syscall(SYS_adjtimex, out) < 0)
        return -1;
    int synchronised = read_setting().synchronised;
    out->status = synchronised ? out->status & ~STA_UNSYNC : out->status | STA_UNSYNC;
    return synchronised ? TIME_OK : TIME_ERROR;
}
