# SPDX-License-Identifier: MIT
"""Layouts, labels and constants of the protocol; docs/protocol.md explains each.

Offsets are bytes into a message. Integers on the wire are little endian.
"""

INITIATION = 1
RESPONSE = 2
COOKIE = 3
TRANSPORT = 4

INITIATION_SIZE = 148
RESPONSE_SIZE = 92
COOKIE_SIZE = 64

KEY_SIZE = 32
TAG_SIZE = 16
MAC_SIZE = 16
STAMP_SIZE = 12
INDEX_SIZE = 4

# Initiation (protocol.md, "Handshake initiation")
INITIATION_SENDER = 4
INITIATION_EPHEMERAL = 8
INITIATION_STATIC = 40
INITIATION_STAMP = 88
INITIATION_MAC1 = 116
INITIATION_MAC2 = 132

# Response (protocol.md, "Handshake response")
RESPONSE_SENDER = 4
RESPONSE_RECEIVER = 8
RESPONSE_EPHEMERAL = 12
RESPONSE_NOTHING = 44
RESPONSE_MAC1 = 60
RESPONSE_MAC2 = 76

# Cookie reply (protocol.md, "Cookie reply")
COOKIE_RECEIVER = 4
COOKIE_NONCE = 8
COOKIE_SEALED = 32

# Layer 3: WireGuard's own. Layer 2 has another identifier (layer.py), so that neither takes the
# other's handshake for its own.
CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"
LABEL_COOKIE = b"cookie--"

# Timers (protocol.md, "Timers"), milliseconds.
REKEY_AFTER_MS = 120_000
REJECT_AFTER_MS = 180_000
REKEY_TIMEOUT_MS = 5_000
REKEY_JITTER_MS = 333
KEEPALIVE_MS = 10_000
ATTEMPTS_MAX = 18  # 90 s of retransmissions, one every 5 s
NEW_HANDSHAKE_MS = KEEPALIVE_MS + REKEY_TIMEOUT_MS
REKEY_RECEIVED_MS = REJECT_AFTER_MS - KEEPALIVE_MS - REKEY_TIMEOUT_MS
ZERO_MS = 3 * REJECT_AFTER_MS
COOKIE_VALID_MS = 115_000  # 120 s that the peer keeps its secret, less 5 s on the way
INITIATION_SPACING_MS = 20  # at most 50 initiations a second are accepted of one peer
MODE_REFUSED_MS = 60_000  # layer 2: until a peer that takes no mode of ours is asked again

# Messages of a session: 2**60 before a new one is asked for, 2**64 - 2**13 - 1 at most.
REKEY_AFTER_MESSAGES = b"\x00\x00\x00\x00\x00\x00\x00\x10"
REJECT_AFTER_MESSAGES = b"\xff\xdf\xff\xff\xff\xff\xff\xff"

BASEPOINT = b"\x09" + bytes(31)
