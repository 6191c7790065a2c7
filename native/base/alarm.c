/* SPDX-License-Identifier: MIT */
/* The alarm of sleeping machines. */
#include "base/alarm.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    NEAR_MS = 1000, /* a deadline that is nearer comes this much too late at most */
    BEHIND_MS = 500,
};

void alarm_new(struct alarm *alarm, int epoll) {
    *alarm = (struct alarm){.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)};
    struct epoll_event e = {.events = EPOLLIN, .data.fd = alarm->fd};
    if (alarm->fd >= 0)
        epoll_ctl(epoll, EPOLL_CTL_ADD, alarm->fd, &e);
}

void alarm_free(struct alarm *alarm) {
    if (alarm->fd >= 0)
        close(alarm->fd);
}

void alarm_set(struct alarm *alarm, uint64_t now, uint64_t deadline) {
    bool is_far = deadline != UINT64_MAX && deadline >= now + NEAR_MS;
    uint64_t at = is_far ? deadline : 0, ms = deadline - now + BEHIND_MS;
    if (alarm->at == at || alarm->fd < 0)
        return;
    struct itimerspec t = {0};
    if (is_far)
        t.it_value = (struct timespec){.tv_sec = (time_t)(ms / 1000),
                                       .tv_nsec = (long)(ms % 1000) * 1000000};
    timerfd_settime(alarm->fd, 0, &t, NULL);
    alarm->at = at;
}

bool alarm_takes(const struct alarm *alarm, int fd) {
    uint64_t times; /* nobody asks */
    return fd == alarm->fd && read(fd, &times, sizeof times) != 0;
}
