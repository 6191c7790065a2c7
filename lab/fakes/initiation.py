# SPDX-License-Identifier: MIT
"""An initiation read in one go, as nobody does who asks about strangers in between."""

from tunlite.protocol import noise as handshake


def consume(noise, me, message, find):
    """Both halves of an initiation: (Handshake, them, stamp). find(public) gives them, or None."""
    state, public = yield from handshake.read_static(noise, me, message)
    them = find(public)
    if them is None:
        state.wipe()
        raise handshake.HandshakeError("from an unknown peer")
    return state, them, (yield from handshake.read_payload(state, me, them, message))
