/* SPDX-License-Identifier: MIT */
/*
 * Outside to inside. The steps of a batch, in order:
 *
 *   1. classify    by type and length; handshake messages go to admission.h; what came by our own
 *                  device ends here
 *   2. session     by receiver index; refused past its age or its last message number, or (layer 2)
 *                  where its mode is another
 *   3. open        the batch at once
 *   4. replay      only now, after authentication, is the counter marked
 *   5. heard       endpoint (roaming), stamps, the first packet on a newer session; keepalives and
 *                  answers to our echoes end
 *   6. inside      IP version and length, padding off, ECN by RFC 6040 (layer 2: parts are joined)
 *   7. source      must be among the peer's allowed IPs (layer 2: is learned)
 *   8. rate        what its peer has no tokens for waits, or is dropped; layer 2 may have it go on
 * to other peers
 *   9. write       to the device; what it does not take stays in the queue and stops the reading
 */
#ifndef TL_RX_H
#define TL_RX_H

#include <stdbool.h>
#include <stdint.h>

#include "path/judge.h"

struct peer;
struct session;

/* Steps 1 to 8 on w->in, all of it new: what is for the device stays. With several workers, behind
 * step 1, what came to the wrong one is passed on. */
void rx_batch(struct worker *w);

/* Step 9. False when the device is full. */
bool rx_write(struct worker *w);
/* Writes what waited in step 8 and may go on; w->in is empty. False likewise. */
bool rx_paced(struct worker *w);

/* Step 5's part that handshakes have too, which Python has proved: so many authentic bytes came
 * from there. */
void rx_heard(struct worker *w, struct peer *peer, const struct endpoint *from, uint64_t bytes);

/* Steps 3 to 5, as layer 3 has them. */
void rx_open(struct worker *w, struct queue *q);
judge rx_is_authentic, rx_hear;
/* Of step 5: an authentic packet came on this session. */
void rx_confirmed(struct worker *w, struct session *session);
/* Whether address and port are the same. */
bool rx_same_place(const struct endpoint *a, const struct endpoint *b);

#endif
