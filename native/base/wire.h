/* SPDX-License-Identifier: MIT */
/*
 * Layouts: the four messages of docs/protocol.md, and the records that cross the border.
 * The structs are never laid over packet bytes; they give offsets (offsetof) and sizes, asserted.
 */
#ifndef TL_WIRE_H
#define TL_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* ---- messages on the wire (WireGuard paper, section 5.4) ---------------------------------- */

enum message_type {
    MESSAGE_INITIATION = 1,
    MESSAGE_RESPONSE = 2,
    MESSAGE_COOKIE = 3,
    MESSAGE_TRANSPORT = 4,
    MESSAGE_AUTHENTIC = 5, /* layer 2: the frame in the clear under a tag */
    MESSAGE_BARE = 6,      /* layer 2: the frame without one */
};

struct message_initiation {
    uint8_t type[4]; /* the type, then three reserved zero bytes */
    uint8_t sender[4];
    uint8_t ephemeral[32];
    uint8_t encrypted_static[48];
    uint8_t encrypted_timestamp[28];
    uint8_t mac1[16];
    uint8_t mac2[16];
};
static_assert(sizeof(struct message_initiation) == 148, "paper 5.4.2");
static_assert(offsetof(struct message_initiation, mac1) == 116, "paper 5.4.2");

struct message_response {
    uint8_t type[4];
    uint8_t sender[4];
    uint8_t receiver[4];
    uint8_t ephemeral[32];
    uint8_t encrypted_nothing[16];
    uint8_t mac1[16];
    uint8_t mac2[16];
};
static_assert(sizeof(struct message_response) == 92, "paper 5.4.3");
static_assert(offsetof(struct message_response, mac1) == 60, "paper 5.4.3");

/* Layer 2's have 4 bytes more in their last encrypted field, before mac1 (protocol.md). */
enum { LAYER2_MORE = 4 };

struct message_cookie {
    uint8_t type[4];
    uint8_t receiver[4];
    uint8_t nonce[24];
    uint8_t encrypted_cookie[32];
};
static_assert(sizeof(struct message_cookie) == 64, "paper 5.4.7");

struct message_transport {
    uint8_t type[4];
    uint8_t receiver[4];
    uint8_t counter[8];
    /* the encrypted inside packet, then its 16-byte tag */
};
static_assert(sizeof(struct message_transport) == 16, "paper 5.4.6");

enum {
    HANDSHAKE_MAX = sizeof(struct message_initiation) + LAYER2_MORE,
    TRANSPORT_OVERHEAD = sizeof(struct message_transport) + 16,
    INDEX_OWNER_BITS = 4, /* of a receiver index, which names the worker: up to 16 */
    HANDSHAKE_TOS = 0x88, /* AF41, as the kernel's WireGuard marks handshakes */
};

/* Layer 2: two bytes stand before a frame, sealed with it or in the clear as it is. */
enum {
    FRAME_HEADER = 2,
    FRAME_WHOLE = 0,
    FRAME_PART = 1, /* the second byte: which one (layer2/parts.h) */
    FRAME_CONTROL = 2,
};

/* What a control frame asks or tells: its second byte. */
enum control {
    CONTROL_ECHO = 0,
    CONTROL_ECHO_ANSWER = 1, /* with the echo's body */
    CONTROL_PATH_PROBE = 2,  /* a number, and zeros up to the length that is tried */
    CONTROL_PATH_ANSWER = 3, /* the number, and the length of the UDP payload that came */
    CONTROL_BYE = 4,         /* frames are wanted no more; no body */
};
enum { CONTROL_ECHO_BODY = 8, CONTROL_PATH_NUMBER = 4, CONTROL_PATH_ANSWER_BODY = 8 };

/* ---- records across the border, little endian ------------------------------------------------ */

struct record_endpoint {
    uint8_t family[2]; /* 4, 6, or 0 for none */
    uint8_t port[2];
    uint8_t addr[16]; /* IPv4: the first 4 */
    uint8_t scope[4];
    uint8_t local[16]; /* source address to use, zeros: the kernel chooses */
    uint8_t ifindex[4];
    uint8_t way[4]; /* all ones: the route leads into our own device, nothing is sent there; else an
                       interface that it has left; 0: neither is known */
};
static_assert(sizeof(struct record_endpoint) == 48, "border");

struct record_options {
    uint8_t engine[16];      /* a name of TL_SEEN_FEATURE_NAMES, NUL-padded, or "auto" */
    uint8_t aead[24];        /* likewise */
    uint8_t offloads_off[4]; /* set of feature numbers that must stay off */
    uint8_t layer[4];        /* 2 or 3 */
    uint8_t mtu[4];
    uint8_t pool_bytes[4];            /* bound of the buffer pool */
    uint8_t batch[4];                 /* packets or super-packets a turn, 0: choose and adapt */
    uint8_t replay_bits[4];           /* 2048 or 8192 */
    uint8_t staged_per_peer[4];       /* at most 128 */
    uint8_t ring[4];                  /* handshake ring entries, a power of two */
    uint8_t handshakes_per_second[4]; /* token bucket of one proved address under load */
    uint8_t workers[4];
    uint8_t ring_receives[4]; /* io_uring: slabs that wait; 0: choose, or a power of two, max 64 */
    uint8_t ring_sends[4];    /* likewise: messages of one submission */
    /* Layer 2's. */
    uint8_t forward[4];      /* 1: frames of one peer go on to others */
    uint8_t fdb[4];          /* addresses that are remembered, in all ... */
    uint8_t fdb_per_peer[4]; /* ... and of one peer */
    uint8_t parts[4];        /* frames that may wait for their other parts */
    /* Layer 3 with frames at the device, which go in a vxlan of ours. */
    uint8_t vxlan_family[4]; /* 4 or 6: of the addresses inside; 0: there is none */
    uint8_t vxlan_vni[4];
    uint8_t vxlan_port[4];
    uint8_t vxlan_sums[4];    /* 1: UDP checksums are sent */
    uint8_t vxlan_local[16];  /* IPv4: the first 4 */
    uint8_t vxlan_remote[16]; /* zeros: that of the peer in use, a /128 of its allowed IPs */
};
static_assert(sizeof(struct record_options) == 152, "border");

struct record_peer {
    uint8_t rx_bytes[8]; /* as wg(8) counts: whole datagrams, handshakes included */
    uint8_t tx_bytes[8];
    uint8_t sent_any[8]; /* stamps in ms, 0: never */
    uint8_t sent_data[8];
    uint8_t received_any[8];
    uint8_t received_data[8];
    uint8_t first_unanswered[8]; /* first data sent since anything was received, 0: none */
    uint8_t first_unreplied[8];  /* first data received since anything was sent, 0: none */
    uint8_t staged[4];
    uint8_t events[4]; /* armed */
    uint8_t endpoint[48];
    uint8_t sending_index[4]; /* local index of the sending session, valid when has_session */
    uint8_t has_session[4];
    uint8_t send_counter[8];
    uint8_t path_number[4]; /* layer 2: of the last answer to a path probe ... */
    uint8_t path_len[4];    /* ... and the UDP payload that it says came */
};
static_assert(sizeof(struct record_peer) == 144, "border");

/* How a layer-2 session protects frames: they are of type MESSAGE_TRANSPORT and as much. */
enum mode { MODE_ON = 0, MODE_AUTHENTIC = 1, MODE_OFF = 2 };

struct record_session {
    uint8_t index[4]; /* ours, from tl_index_new */
    uint8_t remote[4];
    uint8_t born_ms[8];
    uint8_t send_key[32];
    uint8_t receive_key[32];
    uint8_t initiator[4];
    uint8_t pad[4];      /* 16, or 1 on layer 2 */
    uint8_t rekey_ms[4]; /* sending asks for a new session from this age on (initiator only) */
    uint8_t rekey_received_ms[4]; /* receiving does (initiator only) */
    uint8_t reject_ms[4];         /* neither sends nor receives from this age on */
    uint8_t mode[4];              /* enum mode; 0 on layer 3 */
    uint8_t rekey_messages[8];
    uint8_t reject_messages[8];
};
static_assert(sizeof(struct record_session) == 120, "border");

struct record_route {
    uint8_t family[1]; /* 4 or 6 */
    uint8_t prefix[1];
    uint8_t flags[2]; /* set of ROUTE_* */
    uint8_t peer[4];
    uint8_t addr[16];
};
static_assert(sizeof(struct record_route) == 24, "border");

struct record_mac {
    uint8_t mac[6];
    uint8_t peer[2]; /* MAC_OURS: it is the device's own */
};
static_assert(sizeof(struct record_mac) == 8, "border");

enum { MAC_OURS = 0xffff };

struct record_fdb { /* of TL_SEEN_FDB */
    uint8_t mac[6];
    uint8_t peer[2];
    uint8_t age_ms[4]; /* since a frame came from it */
    uint8_t flags[4];  /* set of FDB_* */
};
static_assert(sizeof(struct record_fdb) == 16, "border");

enum { ROUTE_STANDBY = 1 }; /* the peer may send from there, but nothing goes to it */

#endif
