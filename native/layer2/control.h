/* SPDX-License-Identifier: MIT */
/*
 * Control frames (docs/protocol.md): no data, always sealed. Echoes and path probes of peers are
 * answered here, at most so many a second; answers to Python's own raise an event.
 */
#ifndef TL_CONTROL_H
#define TL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "path/judge.h"

enum { CONTROL_A_SECOND = 10 };

struct peer;

/* An authentic packet that begins as a control frame: DROP_NONE, or why it is none. */
enum drop control_take(struct worker *w, const struct packet *p);

/* Whether Python may send this: an echo, whose answer is waited for, a path probe, or a bye. */
bool control_is_sound(struct bytes frame);
void control_expect(struct peer *peer, struct bytes frame);

/* Tells the peer that its frames are not taken, once a second. */
void control_refuse(struct worker *w, struct peer *peer);
/* Frames go to it in the clear: it is told by a sealed echo, now and then, where we are. */
void control_keep_place(struct worker *w, struct peer *peer);
/* Its sealed frames come: a sealed keepalive says so, once a second. */
void control_confirm(struct worker *w, struct peer *peer);

#endif
