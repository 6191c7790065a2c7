/* SPDX-License-Identifier: MIT */
/*
 * Packets of the device that nobody can be given, because they are in nobody's allowed IPs or their
 * peer's address is not known, are answered by ICMP, so that who sent them need not wait: host
 * unreachable, or address unreachable in IPv6, as the kernel's WireGuard does. The answer is
 * written back to the device, in the name of the address that could not be reached: one of our own
 * would be refused there.
 */
#ifndef TL_UNREACHABLE_H
#define TL_UNREACHABLE_H

#include "base/packet.h"

struct worker;

/* A checked packet, which stays the caller's. Nothing where an answer must not be (RFC 1122 3.2.2,
 * RFC 4443 2.4), at more than UNREACHABLE_BURST at once or one a millisecond, or while the device
 * is full. */
void unreachable_answer(struct worker *w, const struct packet *p);

enum { UNREACHABLE_BURST = 50 }; /* it and the rate are those of Linux for all its ICMP */

#endif
