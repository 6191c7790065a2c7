# SPDX-License-Identifier: MIT
"""Whether a peer is established: from the first authenticated message on a session (for us as
initiator: the response) until no session can receive. A rekey is no event.

Who wants to be told is in Interface.listeners: established(peer), left(peer, reason).
"""

import json

from tunlite import keys


class Established:
    """A part of a peer; methods are what happened, and say whether that made a difference."""

    reason = ""  # why it last ended

    def __init__(self):
        self.began_ms = 0  # 0: it is not
        self.lasts_ms = 0  # from then on no session receives

    def proved(self, lasts_ms, now_ms):
        """The other end was heard on a session that receives until then."""
        self.lasts_ms = lasts_ms
        if self.began_ms:
            return False
        self.began_ms = now_ms
        return True

    def ended(self, reason):
        if not self.began_ms:
            return False
        self.began_ms = self.lasts_ms = 0
        self.reason = reason
        return True


def happened(event, peer, why=""):
    """A line for programs that read us (running.md, "Under a supervisor")."""
    log = peer.exchange.owner.log
    row = {
        "event": event,
        "interface": log.prefix,
        "peer": keys.text(peer.public),
        "name": peer.description,
        "why": why,
        "path_mtu": peer.path.size() if peer.path else None,
    }
    log.event(json.dumps(row))


def heard(peer, now_ms):
    """On its newest session, the first time."""
    if peer.established.proved(peer.sessions.receives_until(), now_ms):
        happened("establish", peer)
        for listener in peer.exchange.owner.listeners:
            _tell(peer, listener.established, peer)


def left(peer, reason):
    """Its sessions end now. `reason`: silent, removed, link down, key changed, stopped, or what
    whoever ends them says. They, and its allowed IPs, are still there while this is told."""
    if peer.established.ended(reason):
        happened("disestablish", peer, reason)
        for listener in peer.exchange.owner.listeners:
            _tell(peer, listener.left, peer, reason)


def _tell(peer, call, *arguments):
    """What a listener makes of it does not stop what is being done."""
    try:
        call(*arguments)
    except Exception as e:
        log = peer.exchange.owner.log
        log.error(f"what hangs on a session failed: {type(e).__name__}: {e}", "listener")
