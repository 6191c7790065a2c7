/* SPDX-License-Identifier: MIT */
/* What a packet of a peer tells of it: where it is, and when it was heard. */
#ifndef TL_HEARD_H
#define TL_HEARD_H

#include <stdint.h>

struct endpoint;
struct peer;
struct worker;

/* Authenticated from there, this many bytes. */
void heard_from(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes);

#endif
