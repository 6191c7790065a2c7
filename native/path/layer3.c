/* SPDX-License-Identifier: MIT */
/* IP packets. Once per packet. */
#include "inside/ip.h"
#include "path/layer.h"
#include "path/loop.h"
#include "path/peer.h"
#include "path/plane.h"
#include "path/rx.h"
#include "path/tx.h"
#include "path/unreachable.h"

/* Takes the ECN field too. */
static enum drop validate(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    switch (ip_check(p->data, &p->len, &p->tos)) {
    case IP_BAD_VERSION:
        return DROP_DEVICE_BAD_VERSION;
    case IP_BAD_LENGTH:
        return DROP_DEVICE_BAD_LENGTH;
    case IP_OK:
        break;
    }
    return loop_is_own(w->plane, p->data, p->len) ? DROP_ROUTING_LOOP : DROP_NONE;
}

/* By allowed IPs. Neighbours with the same destination share a lookup. */
static enum drop route(struct worker *w, struct packet *p, const struct packet *before) {
    if (before && ip_same_destination(before->data, p->data))
        p->way = before->way;
    else
        p->way = way_of(ip_route(w->plane->routes, p->data));
    if (p->way)
        return DROP_NONE;
    unreachable_answer(w, p);
    return DROP_NO_ROUTE;
}

/* The source must be among its peer's allowed IPs; ECN by RFC 6040. */
enum drop layer3_check(struct worker *w, struct packet *p, const struct packet *before) {
    uint8_t inner;
    switch (ip_check(p->data, &p->len, &inner)) {
    case IP_BAD_VERSION:
        return DROP_RECEIVED_BAD_VERSION;
    case IP_BAD_LENGTH:
        return DROP_RECEIVED_BAD_LENGTH;
    case IP_OK:
        break;
    }
    bool known = before && before->way == p->way && ip_same_source(before->data, p->data);
    if (!known && !ip_allow(w->plane->routes, p->data, peer_of(p)))
        return DROP_SOURCE_NOT_ALLOWED;
    if (ip_decapsulate_ecn(p->data, p->tos & TOS_ECN))
        w->stats.counts[COUNT_ECN_CE_NOT_ECT]++;
    return DROP_NONE;
}

const struct layer layer3 = {
    .validate = validate,
    .route = route,
    .seal = tx_seal,
    .open = rx_open,
    .authentic = rx_is_authentic,
    .hear = rx_hear,
    .check = layer3_check,
    .answer = unreachable_answer,
};
