/* SPDX-License-Identifier: MIT */
/* What every engine does with a packet when the kernel has answered. Once per packet. */
#include "outside/io.h"

#include <errno.h>
#include <string.h>

#include "base/wire.h"
#include "outside/way.h"
#include "tunlite.h"

static bool is_handshake(const struct packet *p) {
    return p->data[0] < MESSAGE_TRANSPORT;
}

static void stamp_sent(struct outside *o, const struct packet *p) {
    struct way *way = p->way;
    way->tx_bytes += p->len;
    way->sent_any = o->now;
    way->first_unreplied = 0;
    if (is_handshake(p) || p->is_quiet)
        return;
    way->sent_data = o->now;
    if (!way->first_unanswered)
        way->first_unanswered = o->now;
    events_raise(o->events, &way->raised, TL_PEER_ACTIVE);
}

void io_sent(struct outside *o, struct packet *p) {
    uint64_t *counts = o->stats->counts;
    counts[COUNT_SOCKET_WRITTEN]++;
    counts[COUNT_SOCKET_WRITTEN_BYTES] += p->len;
    if (is_handshake(p)) {
        counts[COUNT_HANDSHAKES_WRITTEN]++;
        o->message_error = 0;
    }
    counts[COUNT_KEEPALIVES_WRITTEN] += p->is_quiet && p->len == TRANSPORT_OVERHEAD;
    if (p->way)
        stamp_sent(o, p);
    packet_release(p);
}

static enum drop drop_of_send(int err) {
    switch (err) {
    case ENOBUFS:
    case ENOMEM:
        return DROP_SEND_NO_BUFFERS;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
    case EADDRNOTAVAIL:
        return DROP_SEND_UNREACHABLE;
    case EPERM:
    case EACCES:
        return DROP_SEND_FILTERED;
    case ECONNREFUSED:
        return DROP_SEND_REFUSED;
    case EMSGSIZE:
        return DROP_SEND_TOO_BIG;
    case EBADF:
        return DROP_NO_SOCKET;
    default:
        return DROP_SEND_ERROR;
    }
}

void io_failed(struct outside *o, struct packet *p, int err) {
    o->stats->drops[drop_of_send(err)]++;
    if (is_handshake(p) || p->is_quiet)
        o->message_error = err;
    packet_release(p);
}

void io_blocked(struct outside *o, const struct packet *p) {
    struct full *full = &o->full[io_socket_of(p)];
    o->stats->counts[COUNT_SOCKET_BLOCKED]++;
    if (full->since)
        return;
    *full = (struct full){.since = o->now, .times = full->times + 1};
}

void io_has_room(struct outside *o, unsigned which) {
    o->full[which].since = 0;
}

bool io_source_reset(struct outside *o, struct packet *p, int err) {
    static const uint8_t none[16];
    bool could_be = err == EINVAL || err == EADDRNOTAVAIL || err == ENODEV || err == ENETUNREACH;
    if (!could_be || memcmp(p->endpoint->local, none, sizeof none) == 0)
        return false;
    memset(p->endpoint->local, 0, sizeof p->endpoint->local);
    p->endpoint->ifindex = 0;
    if (p->way) /* a run may have been refused for its source */
        p->way->runs = (struct way_runs){0};
    o->stats->counts[COUNT_SOURCE_RESET]++;
    return true;
}
