# SPDX-License-Identifier: MIT
"""What layer 2 has besides: its identifier, the four bytes in both handshake messages by which the
ends tell version, mode and longest frame, and how control frames begin (protocol.md, "Layer 2")."""

from tunlite.protocol import noise

IDENTIFIER = b"tunlite L2 v1"

# How a session protects its frames: what `Encryption` names, and a session record's mode.
MODES = ("on", "authentic", "off")
ON = 0

# Control frames of ours: a body of 8 bytes; a number of 4, then zeros; nothing.
ECHO = b"\2\0"
PATH_PROBE = b"\2\2"
BYE = b"\2\4"

SAID_SIZE = 4
_VERSION = 1  # the highest that we speak; the lower of both ends' is spoken
_MODE_BITS = 3
_AROUND = 22  # of a frame, beside the device's MTU: addresses, type, two VLAN tags
_LONGEST = 65535
_SHORTEST = 14  # a frame without anything in it


def says(mode, mtu):
    """The four bytes. `mtu`: of our device."""
    longest = min(mtu + _AROUND, _LONGEST)
    return bytes((_VERSION, mode, longest & 255, longest >> 8))


def heard(said):
    """(mode, longest frame that they take) of the other end's four bytes. HandshakeError."""
    if len(said) != SAID_SIZE or not said[0]:
        raise noise.HandshakeError("of no version of layer 2")
    return said[1] & _MODE_BITS, max(said[2] | said[3] << 8, _SHORTEST)


def modes_of(text):
    """The modes of "authentic, on", the one to ask for first. ValueError."""
    found = tuple([MODES.index(word.strip()) for word in text.split(",")])
    if len(set(found)) != len(found):
        raise ValueError
    return found


def text_of(modes):
    """Also of one that the other end may have and we do not."""
    return ",".join([MODES[mode] if mode < len(MODES) else f"mode {mode}" for mode in modes])
