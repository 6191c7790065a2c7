/* SPDX-License-Identifier: MIT */
/*
 * What ends a wait that a machine slept through: poll(2) counts CLOCK_MONOTONIC, which stands still
 * then. A timer on CLOCK_BOOTTIME stands a little behind each far deadline, so that it goes off
 * only where poll did not. It is set when that deadline changes, never for a turn.
 */
#ifndef TL_ALARM_H
#define TL_ALARM_H

#include <stdbool.h>
#include <stdint.h>

struct alarm {
    int fd;      /* -1: this kernel has none (before 3.15) */
    uint64_t at; /* the deadline it stands behind, ms; 0: none */
};

/* In `epoll`, which closing it also leaves. */
void alarm_new(struct alarm *alarm, int epoll);
void alarm_free(struct alarm *alarm);
void alarm_set(struct alarm *alarm, uint64_t now, uint64_t deadline);
/* Whether a descriptor that is ready is this one: then it is not any more. */
bool alarm_takes(const struct alarm *alarm, int fd);

#endif
