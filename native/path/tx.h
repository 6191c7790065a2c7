/* SPDX-License-Identifier: MIT */
/*
 * Inside to outside. The steps of a batch, in order:
 *
 *   1. validate    IP version and lengths (layer 2: an Ethernet header); a datagram of our own that
 *                  came round (loop.h) ends here
 *   2. route       destination to peer, by allowed IPs; nobody's is answered (unreachable.h)
 *   3. rate        what its peer has no tokens for waits, or is dropped (rate.h)
 *   4. session     none that can send, or others wait already: staged, which Python hears of
 *                  as WANTS_SESSION; else a counter is drawn, once
 *   5. gather      side by side what goes to one peer
 *   6. header      padding, never past the MTU; outer ECN from the inner one (layer 2: no padding,
 *                  and frames that are longer than the way is wide are cut into parts)
 *   7. seal        the batch at once
 *   8. write       to the socket; what it does not take stays in the queue and stops the reading
 *
 * Staged packets join at step 6 when their peer gets a session, before anything newer is read.
 */
#ifndef TL_TX_H
#define TL_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"
#include "crypto/aead.h"

struct worker;
struct peer;

enum { TX_URGENT_RESERVED = 8 }; /* places that cookie replies leave to Python's messages */

/* Steps 1 to 7 on packets [from, n) of the queue: those that can go stay in it. With several
 * workers, behind step 2, those of another's peer are passed on to it. */
void tx_batch(struct worker *w, struct queue *q, uint32_t from);
/* The same behind step 2. */
void tx_onward(struct worker *w, struct queue *q, uint32_t from);
/* Steps 3 to 7: what was passed on. */
void tx_routed(struct worker *w, struct queue *q, uint32_t from);
/* Steps 6 and 7 of layer 3. */
void tx_seal(struct worker *w, struct queue *q, uint32_t from);
/* Appends what waited in step 3 and may go on. Returns whether more may, but for the queue. */
bool tx_paced(struct worker *w, struct queue *q);

/* Appends peers' staged packets, sealed, while the queue has room. Returns whether any are left. */
bool tx_ready(struct worker *w, struct queue *q);
/* The peer has a session: what is staged can go. */
void tx_mark_ready(struct worker *w, struct peer *peer);
void tx_forget(struct worker *w, struct peer *peer);

bool tx_can_send(const struct worker *w, const struct peer *peer);
/* Appends a packet that is no data, sealed: a keepalive where it is empty. False where no session
 * can send, nothing is sent to where the peer is, or the queue is full. */
bool tx_quiet(struct worker *w, struct queue *q, struct peer *peer, struct bytes inside);

/* Queues a handshake message; false (and counted) when there is no room. */
bool tx_urgent(struct worker *w, struct peer *peer, const struct endpoint *to,
               struct bytes message);
uint32_t tx_urgent_room(const struct worker *w);
/* Writes the handshake messages alone. False when the socket is full. */
bool tx_write_urgent(struct worker *w);

/* Writes what waits, handshakes first. False when the socket is full. */
bool tx_write(struct worker *w);

#endif
