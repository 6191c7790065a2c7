/* SPDX-License-Identifier: MIT */
/* Ethernet frames, all to one peer. Once per packet. */
#include "inside/ip.h"
#include "path/layer.h"
#include "path/peer.h"
#include "path/plane.h"

static enum drop validate(struct worker *w, struct packet *p, const struct packet *before) {
    (void)w, (void)before;
    return p->len < IP_ETHERNET_HEADER ? DROP_DEVICE_BAD_LENGTH : DROP_NONE;
}

static enum drop route(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    p->way = way_of(w->plane->only_peer);
    return p->way ? DROP_NONE : DROP_NO_ROUTE;
}

static enum drop check(struct worker *w, struct packet *p, const struct packet *before) {
    (void)w, (void)before;
    return p->len < IP_ETHERNET_HEADER ? DROP_RECEIVED_BAD_LENGTH : DROP_NONE;
}

const struct layer layer2 = {validate, route, check, NULL};
