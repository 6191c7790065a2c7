/* SPDX-License-Identifier: MIT */
/*
 * Echoes that Python puts into a session to see whether its peer answers (ICMP, RFC 792; ICMPv6,
 * RFC 4443 4.1), and their answers, which end here: at our end neither is data.
 *
 * An answer is what came in the peer's own session from the address that was asked, where its
 * allowed IPs have that, with identifier and data of the last request; the sequence number may be
 * any, so that a late one counts. Identifier and data are to be drawn so that nobody guesses them:
 * who is behind the peer sees neither.
 */
#ifndef TL_ECHO_H
#define TL_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "path/judge.h"
#include "path/peer.h"

enum { ECHO_MAX = 64 }; /* bytes of a request, and of its answer, padded */

/* Notes what an answer to this request looks like; NULL memory: makes it. -EINVAL: it is no echo
 * request, of a fixed header and at most ECHO_MAX bytes. 0 or -ENOMEM. */
int echo_expect(struct echo **echo, struct bytes request);

bool echo_matches(const struct worker *w, const struct packet *p);

/* Whether an opened packet is an answer to the peer's last request. */
static inline bool echo_is_answer(const struct worker *w, const struct packet *p) {
    return peer_of(p)->echo && p->len <= ECHO_MAX && echo_matches(w, p);
}

#endif
