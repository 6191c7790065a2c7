/* SPDX-License-Identifier: MIT */
/* Everything that is counted. One table each: enum and name come from it, so that no list repeats.
 * Names are part of the status output: add, do not rename. */
#ifndef TL_STATS_H
#define TL_STATS_H

#include <stdint.h>

/* Why a packet was refused. */
#define TL_DROPS(X)                                                                                \
    X(TOO_SHORT, "too_short")                 /* outside: no message is that short */              \
    X(BAD_TYPE, "bad_type")                   /* outside: no message has that type */              \
    X(BAD_LENGTH, "bad_length")               /* outside: not a handshake message's length */      \
    X(TRUNCATED, "truncated")                 /* outside: longer than the receive buffer */        \
    X(RUN_UNSIZED, "run_unsized")             /* outside: a run just as UDP_GRO went off */        \
    X(SOCKET_OVERFLOW, "socket_overflow")     /* outside: the kernel's queue was full */           \
    X(NO_IDENTITY, "no_identity")             /* handshake: we have no key */                      \
    X(BAD_MAC1, "bad_mac1")                   /* handshake */                                      \
    X(OTHER_LAYER, "other_layer")             /* handshake: for us, and of the layer we are not */ \
    X(COOKIE_SENT, "cookie_sent")             /* handshake: under load, cookie sent back */        \
    X(COOKIE_FULL, "cookie_full")             /* handshake: under load, no room to answer */       \
    X(RATE_LIMITED, "rate_limited")           /* handshake: a proved address sends many */         \
    X(RING_FULL, "ring_full")                 /* handshake: Python is far behind, or cookie        \
                                                 replies fill their share */                       \
    X(UNKNOWN_INDEX, "unknown_index")         /* no session or handshake of ours */                \
    X(SESSION_EXPIRED, "session_expired")     /* received on a session past its age */             \
    X(COUNTER_EXHAUSTED, "counter_exhausted") /* received past the last message number */          \
    X(WRONG_MODE, "wrong_mode")               /* protected otherwise than its session says */      \
    X(BARE_REFUSED, "bare_refused")           /* in the clear, and from another place, or before   \
                                                 anything sealed came on its session */            \
    X(NOT_AUTHENTIC, "not_authentic")         /* the tag is wrong */                               \
    X(REPLAYED, "replayed")                   /* counter seen before, or too old to tell */        \
    X(RECEIVED_BAD_VERSION, "received_bad_version") /* decrypted: neither IPv4 nor IPv6 */         \
    X(RECEIVED_BAD_LENGTH, "received_bad_length")   /* decrypted: shorter than it says */          \
    X(RECEIVED_BAD_FRAME, "received_bad_frame")     /* layer 2: neither whole, part nor            \
                                                       control; in a vxlan: torn */                \
    X(RECEIVED_BAD_CONTROL, "received_bad_control") /* layer 2: not one that is known */           \
    X(CONTROL_LIMITED, "control_limited")       /* layer 2: more questions than are answered */    \
    X(RECEIVED_BAD_PART, "received_bad_part")   /* layer 2: contradicts itself, or others */       \
    X(PARTS_FULL, "parts_full")                 /* layer 2: part of a frame that made room */      \
    X(PARTS_LOST, "parts_lost")                 /* layer 2: the others did not come */             \
    X(NOT_IN_USE, "not_in_use")                 /* layer 2: from a peer that stands by */          \
    X(SOURCE_NOT_ALLOWED, "source_not_allowed") /* decrypted: not among its allowed IPs; layer     \
                                                   2: pinned elsewhere, ours, or a group's */      \
    X(NOT_VXLAN, "not_vxlan")           /* decrypted: not to our vxlan's address and port */       \
    X(WRONG_VNI, "wrong_vni")           /* decrypted: of another vxlan */                          \
    X(RATE_IN, "rate_in")               /* decrypted: faster than the peer may be */               \
    X(NO_DEVICE, "no_device")           /* the plane has none, or it was deleted */                \
    X(DEVICE_DOWN, "device_down")       /* the link is not up */                                   \
    X(DEVICE_REFUSED, "device_refused") /* any other error of the device */                        \
    X(DEVICE_BAD_VERSION, "device_bad_version")   /* from the device: not IPv4 or IPv6 */          \
    X(DEVICE_BAD_LENGTH, "device_bad_length")     /* from the device: not all of it came */        \
    X(DEVICE_UNSPLITTABLE, "device_unsplittable") /* from the device: cannot be cut */             \
    X(NO_ROUTE, "no_route")                       /* in nobody's allowed IPs */                    \
    X(FLOOD_FULL, "flood_full")                   /* for many peers: too many such wait */         \
    X(FORWARD_FULL, "forward_full")               /* from peer to peer: the socket is full */      \
    X(FRAME_TOO_LONG, "frame_too_long")           /* for its peer, or for 8 parts */               \
    X(CUT_FULL, "cut_full")                       /* no room for a frame's parts */                \
    X(NO_ENDPOINT, "no_endpoint")                 /* the peer's address is not known */            \
    X(ROUTING_LOOP, "routing_loop")               /* the way to a peer leads into the device */    \
    X(RATE_OUT, "rate_out")                       /* faster than the peer may be */                \
    X(STAGE_FULL, "stage_full")                   /* the oldest packet that waited */              \
    X(STAGE_FLUSHED, "stage_flushed")             /* waited for a session that never came */       \
    X(WORKER_FULL, "worker_full")                 /* on its way to its worker: far behind */       \
    X(PEER_GONE, "peer_gone")                     /* waited, and the peer was removed */           \
    X(NO_SOCKET, "no_socket")                     /* none of that address family is open */        \
    X(SEND_NO_BUFFERS, "send_no_buffers")         /* ENOBUFS, ENOMEM */                            \
    X(SEND_UNREACHABLE, "send_unreachable")       /* no route or no interface outside */           \
    X(SEND_FILTERED, "send_filtered")             /* EPERM, EACCES: a firewall of this host */     \
    X(SEND_REFUSED, "send_refused")               /* ECONNREFUSED */                               \
    X(SEND_TOO_BIG, "send_too_big")               /* EMSGSIZE */                                   \
    X(SEND_ERROR, "send_error")                   /* any other error of the socket */              \
    X(WAY_FULL, "way_full")                       /* socket full: the peer that it is full of */   \
    X(SEND_QUEUE_FULL, "send_queue_full")         /* handshake: socket and reserve are full */

#define TL_COUNTS(X)                                                                               \
    X(TURNS, "turns")                                                                              \
    X(WAITS, "waits")     /* polls that could sleep */                                             \
    X(RETURNS, "returns") /* of tl_run to Python, then why */                                      \
    X(RETURNS_DEADLINE, "returns_deadline")                                                        \
    X(RETURNS_PEERS, "returns_peers")                                                              \
    X(RETURNS_HANDSHAKE, "returns_handshake")                                                      \
    X(RETURNS_CONTROL, "returns_control")                                                          \
    X(RETURNS_SIGNAL, "returns_signal")                                                            \
    X(AWAY_LONGEST, "away_longest_ms") /* the longest stay in Python between two turns */          \
    X(AWAY_SPENT_LONGEST, "away_spent_longest_us") /* the same in our own CPU time */              \
    X(READ_CALLS, "read_calls")                    /* system calls */                              \
    X(WRITE_CALLS, "write_calls")                                                                  \
    X(DEVICE_READ, "device_read") /* packets */                                                    \
    X(DEVICE_WRITTEN, "device_written")                                                            \
    X(SOCKET_READ, "socket_read") /* datagrams */                                                  \
    X(SOCKET_WRITTEN, "socket_written")                                                            \
    X(SOCKET_READ_BYTES, "socket_read_bytes")                                                      \
    X(SOCKET_WRITTEN_BYTES, "socket_written_bytes")                                                \
    X(SOCKET_BLOCKED, "socket_blocked") /* EAGAIN on a write */                                    \
    X(DEVICE_BLOCKED, "device_blocked")                                                            \
    X(STAGED, "staged")                                                                            \
    X(KEEPALIVES_READ, "keepalives_read")                                                          \
    X(KEEPALIVES_WRITTEN, "keepalives_written")                                                    \
    X(ECHOES_SENT, "echoes_sent")           /* of ours, in a peer's session ... */                 \
    X(ECHOES_ANSWERED, "echoes_answered")   /* ... and their answers */                            \
    X(CONTROL_ANSWERED, "control_answered") /* layer 2: echoes and path probes of peers */         \
    X(FRAMES_CUT, "frames_cut")             /* layer 2: longer than the way is wide ... */         \
    X(PARTS_SENT, "parts_sent")             /* ... and what they were cut into */                  \
    X(PARTS_READ, "parts_read")                                                                    \
    X(FRAMES_JOINED, "frames_joined")                                                              \
    X(FLOODS, "floods") /* layer 2: frames for more than one peer */                               \
    X(FLOOD_COPIES, "flood_copies")                                                                \
    X(FORWARDED, "forwarded")     /* layer 2: frames of one peer that went on to another */        \
    X(FDB_LEARNED, "fdb_learned") /* layer 2: addresses, new or moved */                           \
    X(FDB_HELD, "fdb_held")       /* frames from where a moving one is not */                      \
    X(FDB_FULL, "fdb_full")       /* frames of one that found no place */                          \
    X(CAME_BACK, "came_back")     /* the device's, one a batch, from behind a peer: it loops */    \
    X(HANDSHAKES_READ, "handshakes_read")                                                          \
    X(HANDSHAKES_WRITTEN, "handshakes_written")                                                    \
    X(COOKIES_WRITTEN, "cookies_written")                                                          \
    X(ECN_CE_NOT_ECT, "ecn_ce_not_ect") /* CE outside a packet that is not ECN-capable */          \
    X(ROAMED, "roamed")                                                                            \
    X(SOURCE_RESET, "source_reset") /* our own address went away: the kernel chooses */            \
    X(POOL_SHORT, "pool_short")                                                                    \
    X(BATCH_LARGEST, "batch_largest")                                                              \
    X(SUPERS_READ, "supers_read") /* super-packets of the device */                                \
    X(SUPERS_WRITTEN, "supers_written")                                                            \
    X(RUNS_READ, "runs_read")         /* several datagrams in one (UDP_GRO) */                     \
    X(RUNS_WRITTEN, "runs_written")   /* and by one UDP_SEGMENT send */                            \
    X(RUNS_SWITCHED, "runs_switched") /* UDP_GRO off or on again, as they come */                  \
    X(RUNS_REFUSED, "runs_refused")   /* and sent again one by one */                              \
    X(SUPERS_REFUSED, "supers_refused")                                                            \
    X(PASSED, "passed") /* from one worker to another */

#define TL_ENUM_DROP(name, text) DROP_##name,
#define TL_ENUM_COUNT(name, text) COUNT_##name,
/* The last two are none: it goes on, or somebody took it over. */
enum drop { TL_DROPS(TL_ENUM_DROP) DROPS, DROP_NONE = DROPS, DROP_TAKEN };
enum count { TL_COUNTS(TL_ENUM_COUNT) COUNTS };
#undef TL_ENUM_DROP
#undef TL_ENUM_COUNT

/* One for each worker; nobody else writes to it. */
struct stats {
    uint64_t drops[DROPS];
    uint64_t counts[COUNTS];
};

extern const char stats_drop_names[];
extern const char stats_count_names[];

static inline void stats_highest(uint64_t *counter, uint64_t value) {
    if (*counter < value)
        *counter = value;
}

#endif
