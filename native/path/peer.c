/* SPDX-License-Identifier: MIT */
/* The end of a peer. */
#include "path/peer.h"

#include <stdlib.h>

void peer_free(struct peer *peer) {
    if (!peer)
        return;
    free(peer->echo);
    free(peer->rates);
    free(peer->trunk);
    free(peer);
}
