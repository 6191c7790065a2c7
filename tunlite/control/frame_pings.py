# SPDX-License-Identifier: MIT
"""pings.py on layer 2: members are asked by control frames, which every daemon's C answers
(protocol.md, "Control frames")."""

from tunlite.protocol import layer

_NUMBER_SIZE = 8
# Answers come so late at most: only one to the last number is any.
_ANSWER_MS = 2000


class FramePings:
    """As Pings. `port` as tunlite/system/port.py has it."""

    def __init__(self, port):
        self._port = port

    def can_ask(self, _peer):
        return True

    def answered_ms(self, member):
        return member.echoed_ms

    def frame(self, peer):
        member = peer.member
        now_ms = self._port.now_ms()
        if now_ms - member.drawn_ms >= _ANSWER_MS:
            member.draws(bytes(self._port.random_bytes(_NUMBER_SIZE)), now_ms)
        return layer.ECHO + member.number

    def trouble(self, _used):
        return ""
