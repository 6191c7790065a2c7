/* SPDX-License-Identifier: MIT */
/* What Python is to be told. */
#include "base/events.h"

#include <stddef.h>

void events_raise(struct events *events, struct raised *one, uint32_t bits) {
    bits &= one->armed;
    if (!bits)
        return;
    one->armed &= ~bits;
    if (!one->pending) {
        one->next = NULL;
        if (events->first)
            events->last->next = one;
        else
            events->first = one;
        events->last = one;
    }
    one->pending |= bits;
}

struct raised *events_take(struct events *events, uint32_t *bits) {
    struct raised *one = events->first;
    if (!one)
        return NULL;
    events->first = one->next;
    *bits = one->pending;
    one->pending = 0;
    return one;
}

void events_forget(struct events *events, struct raised *one) {
    struct raised *before = NULL;
    for (struct raised *r = events->first; r; before = r, r = r->next) {
        if (r != one)
            continue;
        if (before)
            before->next = r->next;
        else
            events->first = r->next;
        if (events->last == r)
            events->last = before;
        break;
    }
    one->pending = 0;
}
