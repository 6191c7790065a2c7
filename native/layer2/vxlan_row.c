/* SPDX-License-Identifier: MIT */
/* Layer 3 with frames at the device, each in a datagram of a vxlan inside the tunnel.
 * Once per packet. */
#include "inside/ether.h"
#include "inside/ip.h"
#include "inside/routes.h"
#include "layer2/outward.h"
#include "layer2/vxlan.h"
#include "path/layer.h"
#include "path/peer.h"
#include "path/plane.h"
#include "path/rx.h"
#include "path/tx.h"

/* What an IP packet has room for behind the headers. */
static bool is_too_long(const struct worker *w, const struct packet *p) {
    return p->len > w->inside.mtu + ETHER_FRONT_MAX || p->len > UINT16_MAX - w->plane->vxlan->size;
}

static enum drop validate(struct worker *w, struct packet *p, const struct packet *before) {
    return is_too_long(w, p) ? DROP_DEVICE_BAD_LENGTH : outward_validate(w, p, before);
}

/* By allowed IPs, to where all of them go. */
static enum drop route(struct worker *w, struct packet *p, const struct packet *before) {
    vxlan_wrap(w->plane->vxlan, p);
    p->way = before ? before->way : way_of(ip_route(w->plane->routes, p->data));
    return p->way ? DROP_NONE : DROP_NO_ROUTE;
}

/* Behind layer3_check, which looks at its neighbours as they came. */
static enum drop unwrap(struct worker *w, struct packet *p, const struct packet *before) {
    (void)before;
    switch (vxlan_unwrap(w->plane->vxlan, p)) {
    case VXLAN_OTHER:
        return DROP_NOT_VXLAN;
    case VXLAN_BAD:
        return DROP_RECEIVED_BAD_FRAME;
    case VXLAN_WRONG_VNI:
        return DROP_WRONG_VNI;
    case VXLAN_MARKED:
        w->stats.counts[COUNT_ECN_CE_NOT_ECT]++;
        return DROP_NONE;
    case VXLAN_FRAME:
        break;
    }
    return DROP_NONE;
}

const struct layer layer3_vxlan = {
    .validate = validate,
    .route = route,
    .seal = tx_seal,
    .open = rx_open,
    .authentic = rx_is_authentic,
    .hear = rx_hear,
    .join = layer3_check,
    .check = unwrap,
};
