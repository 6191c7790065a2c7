/* SPDX-License-Identifier: MIT */
/* What every engine does with a packet when the kernel has answered. Once per packet. */
#include "outside/io.h"

#include <errno.h>
#include <string.h>

#include "outside/uring.h"
#include "path/plane.h"
#include "tunlite.h"

const struct io_ops *const io_list[] = {
    &io_mmsg,
    &io_basic,
#ifdef TL_IO_URING
    &io_uring, /* no faster than mmsg: docs/performance.md */
#endif
    NULL,
};

static bool is_handshake(const struct packet *p) {
    return p->data[0] != MESSAGE_TRANSPORT;
}

static void stamp_sent(struct io *io, const struct packet *p) {
    struct peer *peer = p->peer;
    peer->tx_bytes += p->len;
    peer->sent_any = io->now;
    peer->first_unreplied = 0;
    if (is_handshake(p) || p->len == TRANSPORT_OVERHEAD)
        return;
    peer->sent_data = io->now;
    if (!peer->first_unanswered)
        peer->first_unanswered = io->now;
    events_raise(io->events, peer, TL_PEER_ACTIVE);
}

void io_sent(struct io *io, struct packet *p) {
    uint64_t *counts = io->stats->counts;
    counts[COUNT_SOCKET_WRITTEN]++;
    counts[COUNT_SOCKET_WRITTEN_BYTES] += p->len;
    if (is_handshake(p)) {
        counts[COUNT_HANDSHAKES_WRITTEN]++;
        io->message_error = 0;
    }
    counts[COUNT_KEEPALIVES_WRITTEN] += !is_handshake(p) && p->len == TRANSPORT_OVERHEAD;
    if (p->peer)
        stamp_sent(io, p);
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

void io_failed(struct io *io, struct packet *p, int err) {
    io->stats->drops[drop_of_send(err)]++;
    if (is_handshake(p))
        io->message_error = err;
    packet_release(p);
}

void io_blocked(struct io *io, const struct packet *p) {
    struct full *full = &io->full[io_socket_of(p)];
    io->stats->counts[COUNT_SOCKET_BLOCKED]++;
    if (full->since)
        return;
    *full = (struct full){.since = io->now, .times = full->times + 1};
}

void io_has_room(struct io *io, unsigned which) {
    io->full[which].since = 0;
}

bool io_source_reset(struct io *io, struct packet *p, int err) {
    static const uint8_t none[16];
    bool could_be = err == EINVAL || err == EADDRNOTAVAIL || err == ENODEV || err == ENETUNREACH;
    if (!could_be || memcmp(p->endpoint->local, none, sizeof none) == 0)
        return false;
    memset(p->endpoint->local, 0, sizeof p->endpoint->local);
    p->endpoint->ifindex = 0;
    if (p->peer) /* a run may have been refused for its source */
        p->peer->path = (struct path){0};
    io->stats->counts[COUNT_SOURCE_RESET]++;
    return true;
}

void io_written(struct io *io, struct packet *p, int err) {
    if (err == 0)
        io->stats->counts[COUNT_DEVICE_WRITTEN]++;
    else if (err == EIO)
        io->stats->drops[DROP_DEVICE_DOWN]++;
    else if (err == EBADFD || err == EBADF)
        io->stats->drops[DROP_NO_DEVICE]++;
    else
        io->stats->drops[DROP_DEVICE_REFUSED]++;
    packet_release(p);
}
