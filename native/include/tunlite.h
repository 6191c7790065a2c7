/* SPDX-License-Identifier: MIT */
/*
 * The whole border between Python and C.
 *
 * Only ints and byte pointers cross. A function returns 0, a count, a small handle, or -errno.
 * A pointer is followed by its length in bytes, or its name ends in its fixed length (key32 is 32
 * bytes); NULL is allowed only where said. C keeps no pointer after return and never calls Python.
 * 64-bit values and records cross as little-endian bytes; native/base/wire.h asserts their layouts
 * and tunlite/plane/plane.py reads and writes them. Times are milliseconds of CLOCK_BOOTTIME unless
 * said.
 *
 * Events never repeat by themselves: a peer's event bit is raised only while it is armed, raising
 * it disarms it, and Python arms it again when it wants to hear. So no event happens per packet.
 */
#ifndef TUNLITE_H
#define TUNLITE_H

/* ---- primitives: no state; every output is the caller's buffer ---------------------------- */

enum {
    TL_CLOCK_BOOT = 0, /* CLOCK_BOOTTIME, nanoseconds */
    TL_CLOCK_WALL = 1, /* CLOCK_REALTIME, nanoseconds since 1970; returns 1 when the kernel calls it
                          synchronised (adjtimex(2)), else 0 */
    TL_CLOCK_CPU = 2,  /* CPU time of this process, nanoseconds */
};
int tl_clock(int clock, unsigned char *nanoseconds8);

/* getrandom(2); blocks only before the kernel's pool is first initialised. */
int tl_random(unsigned char *out, int out_len);
int tl_wipe(unsigned char *buf, int buf_len);
/* 1 when equal, 0 when not; constant time. */
int tl_equal(const unsigned char *a, int a_len, const unsigned char *b, int b_len);

/* BLAKE2s, RFC 7693: out_len 1..32, key_len 0..32 (key may be NULL when 0). */
int tl_blake2s(unsigned char *out, int out_len, const unsigned char *key, int key_len,
               const unsigned char *in, int in_len);
/* HKDF over HMAC-BLAKE2s (WireGuard paper 5.4): out_len 32, 64 or 96. in may be NULL when 0. */
int tl_kdf(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *in,
           int in_len);

/* ChaCha20-Poly1305 with nonce_len 0 (the all-zero nonce of a handshake) or 12, or
 * XChaCha20-Poly1305 with nonce_len 24. out_len must be in_len + 16 for seal, in_len - 16 for
 * open. open: 0, or -EBADMSG with out zeroed. */
int tl_seal(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *nonce,
            int nonce_len, const unsigned char *ad, int ad_len, const unsigned char *in,
            int in_len);
int tl_open(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *nonce,
            int nonce_len, const unsigned char *ad, int ad_len, const unsigned char *in,
            int in_len);

/* ---- the machine ----------------------------------------------------------------------------- */

/* Creates or attaches to the TUN (layer 3) or TAP (layer 2) device `name`: `name16` is NUL-padded
 * and receives the kernel's choice where it was a pattern ("tun%d"). Returns a non-blocking,
 * close-on-exec descriptor. -EBUSY: another process holds it; -EPERM: no CAP_NET_ADMIN.
 * offloads_off: as in the options record. queue: packets that may wait in the device to be read
 * (its txqueuelen), 0: as the kernel has it, which is 500. Only of a device that is created. */
enum { TL_LAYER2 = 2, TL_LAYER3 = 3 };
int tl_device_open(unsigned char *name16, int layer, int offloads_off, int queue);
/* Where the device of this descriptor is, and what it is called there (name16): 0 in our network
 * namespace (Linux before 5.2: wherever it is), above 0 a descriptor of the other one it was moved
 * to. -ENODEV: it was deleted. */
int tl_device_where(int fd, unsigned char *name16);

/* Starts a child. argv: NUL-terminated strings back to back; env likewise, NULL keeps ours.
 * stdin_fd, stdout_fd: descriptors for the child, -1 for /dev/null; with our own stdin (0) it gets
 * the terminal too, where we have it. fd3: its descriptor 3, -1 for none. All others are closed on
 * exec, signals are at their defaults. Returns a pidfd that polls readable when it has ended. */
int tl_spawn(const unsigned char *argv, int argv_len, const unsigned char *env, int env_len,
             int stdin_fd, int stdout_fd, int fd3);
/* Collects it: 0..255 exit status, 256 + signal, or -EAGAIN while it runs. Closes the pidfd unless
 * -EAGAIN; the terminal is ours again. */
int tl_reap(int pidfd);
int tl_kill(int pidfd, int signal);

/* Keeps only the capabilities in the bit set `caps` (bits 0..30) that it has, sets no_new_privs,
 * empties the bounding set, makes core dumps and debuggers find nothing, and changes to uid and gid
 * where they are not -1. Cannot be undone. With caps -1 it sets no_new_privs and nothing else. */
int tl_confine(int uid, int gid, int caps);

/* ---- the plane: the packet path of one interface --------------------------------------------- */

/* options: an options record (wire.h). Allocates everything the packet path will need at once.
 * Returns a handle. -EINVAL: the record; -ENOMEM; -ENOTSUP: a forced engine or AEAD is not in
 * this build. An engine that the kernel refuses is replaced by what "auto" means, and several
 * workers by one; TL_SEEN_FEATURES says why. With several, threads begin with the first tl_run. */
int tl_plane_new(const unsigned char *options, int options_len);
/* Wipes and frees; the plane closes its sockets and device. Always 0. */
int tl_plane_free(int plane);

/* Hands the device over to the plane, which closes it at the end. */
int tl_plane_device(int plane, int fd);
/* What the kernel says of the device: its ifindex while it is in the sockets' network namespace,
 * else 0: datagrams that come by it are dropped (routing_loop); and its MTU (68 to 65535 bytes of
 * an inside packet, else -EINVAL; 0: as it was). */
int tl_plane_link(int plane, int ifindex, int mtu);

/* Opens the two UDP sockets (IPv4 and v6-only IPv6) on one port, 0 for any, with the fwmark, and
 * replaces the earlier ones. Returns the port. -EADDRINUSE. A kernel without IPv6 is no error.
 * Port -1 closes them: packets are read and dropped until the next listen. Returns 0. */
int tl_plane_listen(int plane, int port, const unsigned char *fwmark4);

/* What C needs to judge handshakes before Python sees them: the key that mac1 is checked under and
 * the key that cookies are encrypted under (BLAKE2s of label and our public key; paper 5.4.7).
 * NULL, NULL: no identity, everything is dropped. */
int tl_plane_identity(int plane, const unsigned char *mac1_key32,
                      const unsigned char *cookie_key32);

/* The wait. Turns packets, without the interpreter's lock, until one of these is set or the
 * deadline (8 bytes; all ones: none) has passed; a deadline in the past makes one turn and returns.
 * NULL: as in the past, but nothing counts as told, so that the next call returns the set again.
 * Returns the set, or -errno of a broken plane. */
enum {
    TL_WOKE_DEADLINE = 1,
    TL_WOKE_PEERS = 2,        /* tl_events has something */
    TL_WOKE_HANDSHAKE = 4,    /* tl_handshake has something */
    TL_WOKE_CONTROL = 8,      /* tl_ready has something */
    TL_WOKE_SIGNAL = 16,      /* a signal interrupted the wait */
    TL_WOKE_DEVICE_GONE = 32, /* the device was deleted */
    TL_WOKE_POOL = 64,        /* buffers ran short: Python may call tl_plane_grow */
};
int tl_run(int plane, const unsigned char *deadline8);

/* Grows (bytes > 0) the buffer pool up to the bound of the options, or gives unused pages back to
 * the kernel (bytes 0, MADV_DONTNEED). Returns the pool's size in KiB. */
int tl_plane_grow(int plane, int bytes);

/* Python's own descriptors: events as poll(2) has them, 0 removes. */
int tl_watch(int plane, int fd, int events);
/* Rows of (int32 fd, uint32 events). Returns their number. */
int tl_ready(int plane, unsigned char *out, int out_len);

/* ---- peers ------------------------------------------------------------------------------------
 */

/* Returns the peer's handle. */
int tl_peer_new(int plane);
/* Wipes its sessions, drops what is staged. Its handle may be handed out again. */
int tl_peer_free(int plane, int peer);
/* Where packets to this peer go; family 0: nowhere. Authenticated packets change it later. */
int tl_peer_endpoint(int plane, int peer, const unsigned char *endpoint48);
/* How fast the peer may be: two uint64, bits a second of packets inside from it and to it; 0: any.
 * -EINVAL: below 1,000 or above 10^12. */
int tl_peer_rates(int plane, int peer, const unsigned char *rates16);
/* A peer record (wire.h): stamps, byte counts, staged packets, endpoint. */
int tl_peer_state(int plane, int peer, unsigned char *out, int out_len);

enum {
    TL_PEER_WANTS_SESSION = 1, /* a packet was staged and no session can send it */
    TL_PEER_REKEY = 2,         /* the sending session is old or used up enough */
    TL_PEER_CONFIRMED = 4,     /* a packet came on a session newer than the sending one, which is
                                  there still, and the sending one too, when tl_events tells it */
    TL_PEER_ACTIVE = 8,        /* data went either way */
    TL_PEER_ROAMED = 16,       /* its endpoint changed */
    TL_PEER_ECHO = 32,         /* an echo of tl_peer_keepalive was answered */
    TL_PEER_PATH = 64,         /* layer 2: a path probe was: its record has number and length */
    TL_PEER_BYE = 128,         /* layer 2: it takes no frames of ours any more */
};
/* Replaces the set of armed events. */
int tl_peer_arm(int plane, int peer, int events);
/* Rows of (uint32 peer, uint32 events), each event raised since the last call, once; no events:
 * what was raised is true no longer. */
int tl_events(int plane, unsigned char *out, int out_len);

/* Drops what is staged for the peer (counted). Returns how many. */
int tl_peer_flush(int plane, int peer);
/* Sends a transport packet that is no data: empty, or (layer 3) with this inside packet, an ICMP or
 * ICMPv6 echo request without options and of at most 64 bytes, or (layer 2) this control frame: an
 * echo, a path probe or a bye. Answers to the last echo come to TL_PEER_ECHO and not to the device.
 * -ENOKEY: no session can send; -EDESTADDRREQ: no endpoint; -EAGAIN: the socket is full; -EMSGSIZE:
 * our own link is not that wide; -EINVAL: the packet. */
int tl_peer_keepalive(int plane, int peer, const unsigned char *packet, int packet_len);
/* A handshake message of this peer was authenticated: it came from this endpoint, with this many
 * bytes. Moves the endpoint and the stamps as an authenticated packet does. */
int tl_peer_heard(int plane, int peer, const unsigned char *endpoint48, int bytes);

/* Layer 2: the longest frame that the peer takes (from the destination address on), and the longest
 * UDP payload that its way carries: longer frames go in parts. -EINVAL: below 14 or 508. */
int tl_peer_path(int plane, int peer, int frame_max, int payload_max);
/* Layer 2: whether frames go to the peer and are taken from it, TL_USE_*. A new one is in use. */
enum {
    TL_USE_STANDBY = 0, /* neither; frames that come are answered by a bye, one a second */
    TL_USE_ON = 1,
    TL_USE_LEFT = 2, /* not flooded to any more; a standby after 5 s. Its bye is Python's to send */
};
int tl_peer_use(int plane, int peer, int how);
/* Layer 2: publishes the addresses that stay where they are, replacing the earlier ones: rows of 8
 * bytes (wire.h); the first may be the device's own. -EINVAL: a group address, one named twice, or
 * no such peer. */
int tl_macs(int plane, const unsigned char *rows, int rows_len);

/* Publishes the allowed IPs of all peers, replacing the earlier ones at once: rows of 24 bytes
 * (wire.h). Where one stands by, peers share prefixes: each of a prefix's rows lets its peer send
 * from it, and packets go to the one that does not stand by. */
int tl_routes(int plane, const unsigned char *rows, int rows_len);

/* ---- handshakes and sessions --------------------------------------------------------------------
 */

/* Draws an unused receiver index for the peer and lets answers to it through to Python. Its low
 * bits name the worker that will own the session. */
int tl_index_new(int plane, int peer, unsigned char *index4);
/* Gives back an index and wipes the session that it became. The peer sends with none until the next
 * tl_session_use where that was the sending one. -ENOENT. */
int tl_index_free(int plane, const unsigned char *index4);

/* Takes the next handshake message out of the ring: endpoint (48 bytes), then the message, checked
 * for type, length and mac1 (and index, where it carries one of ours). Returns its length, with
 * TL_PROVED in it where mac2 proves the sender's address; 0 when there is none. */
enum { TL_PROVED = 256, TL_NEEDS_COOKIE = -2 };
int tl_handshake(int plane, unsigned char *out, int out_len);
/* Sends a handshake message; peer >= 0: counted for it, and its endpoint's source address is used
 * where the record names none. A full socket makes it wait in a small queue of its own; -EAGAIN
 * when that is full too. -EDESTADDRREQ: family 0; -ELOOP: the way there leads into our device.
 * Another -errno: the kernel refused it (no route, say), so it never left. Peer TL_NEEDS_COOKIE:
 * the message is an initiation that came from there, and a cookie reply to it leaves in its place.
 */
int tl_send(int plane, int peer, const unsigned char *endpoint48, const unsigned char *message,
            int message_len);

/* Turns an index into a session (session record, wire.h) that receives, and does not send yet.
 * Its key bytes are copied; the caller wipes its own. */
int tl_session_new(int plane, const unsigned char *session, int session_len);
/* Makes it the one that sends for its peer, and sends what is staged. */
int tl_session_use(int plane, const unsigned char *index4);

/* ---- what is seen -------------------------------------------------------------------------------
 */

/* Numbers by place and the names of the places, so that Python repeats no list. Returns how many
 * numbers or rows were written, for names their bytes. plane: any where the kind is of none.
 * -EINVAL: no such kind; -ENOSPC: out is too short. */
enum {
    TL_SEEN_DROPS = 0,    /* uint64 each: packets that were refused, by reason */
    TL_SEEN_COUNTERS = 1, /* uint64 each */
    TL_SEEN_WORKERS = 2,  /* rows of uint64 (datagrams read, datagrams written), one a worker */
    TL_SEEN_FEATURES = 3, /* rows of (uint16 feature, uint16 on, int32 reason): what the plane uses,
                             and why; plane -1: what this kernel and CPU offer */
    TL_SEEN_FDB = 8, /* rows of 16 bytes (record_fdb): where layer 2's addresses are; as many as
                        fit are written, and how many there are is returned */
    /* Of no plane: names, each followed by a newline, in the order of the numbers above. */
    TL_SEEN_DROP_NAMES = 4,
    TL_SEEN_COUNTER_NAMES = 5,
    TL_SEEN_FEATURE_NAMES = 6, /* engines, offloads, AEADs */
    TL_SEEN_REASON_NAMES = 7,  /* why a feature is on or off */
};
int tl_seen(int plane, int what, unsigned char *out, int out_len);

/* Times an AEAD on `packets` packets of `size` bytes: nanoseconds of CPU for all, 8 bytes. `name`
 * as TL_SEEN_FEATURE_NAMES has it. -ENOTSUP. */
int tl_measure(const unsigned char *name, int name_len, int size, int packets,
               unsigned char *nanoseconds8);

#endif
