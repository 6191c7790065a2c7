# SPDX-License-Identifier: MIT
"""What a peer's timer decides, from numbers alone (protocol.md, "Timers"; paper section 6)."""

from tunlite.protocol import wire

# Actions that due() asks for.
KEEPALIVE = 1
NEW_HANDSHAKE = 2
RETRY = 4
GIVE_UP = 8
PERSISTENT = 16
ZERO = 32
WATCH = 64  # idle: be told when data flows again
SILENT = 128  # no session receives any more

# How often a peer whose data flows is looked at. Not longer than the keepalive timeout: what is
# first unreplied after one look is due no earlier than the next.
CHECK_MS = wire.KEEPALIVE_MS


class Plan:
    """What one peer's timer remembers, in milliseconds; 0: not."""

    fired_ms = 0  # when a handshake was last asked for because data went unanswered
    jitter_ms = 0  # of the next one

    def __init__(self):
        self.checked_ms = 0  # the last look
        self.tried_ms = 0  # when a keepalive was last asked for
        self.persistent_s = 0
        self.idle = True

    def looked(self, now_ms, idle):
        """idle: no data flows, so there is no next look until it does."""
        self.checked_ms = now_ms
        self.idle = idle

    def fired(self, now_ms, jitter_ms):
        self.fired_ms = now_ms
        self.jitter_ms = jitter_ms

    def tried(self, now_ms):
        """0: what was tried had no endpoint, and is due again."""
        self.tried_ms = now_ms

    def persist(self, seconds):
        self.persistent_s = seconds


def due(now_ms, stamps, plan):
    """What a peer needs now, and when to look again: (actions, deadline or None).

    stamps: (sent_any, sent_data, received_any, received_data, first_unanswered, first_unreplied),
    0 for never. plan: (checked, retry, attempts, until, zero, persistent, keepalive_tried, fired,
    jitter): the last look; when the handshake under way is to be retried, how often it was; when no
    session receives any more; when keys are wiped; interval of persistent keepalives; when a
    keepalive was last asked for; when a new handshake was last asked for because data went
    unanswered; the jitter of the next one. 0: not.
    """
    sent_any, sent_data, received_any, received_data, first_unanswered, first_unreplied = stamps
    checked, retry, attempts, until, zero, persistent, tried, fired, jitter = plan
    actions = 0
    deadline = None
    for action, when in (
        (GIVE_UP if attempts > wire.ATTEMPTS_MAX else RETRY, retry),
        (SILENT, until),
        (ZERO, zero),
        (KEEPALIVE, _keepalive_at(first_unreplied, tried)),
        (NEW_HANDSHAKE, _new_handshake_at(first_unanswered, sent_data, fired, jitter)),
        (PERSISTENT, _persistent_at(max(sent_any, received_any, tried), persistent, now_ms)),
    ):
        if not when:
            continue
        if when <= now_ms:
            actions |= action
        elif deadline is None or when < deadline:
            deadline = when
    data = max(sent_data, received_data)
    if not data or data < checked:
        actions |= WATCH
    elif deadline is None or now_ms + CHECK_MS < deadline:
        deadline = now_ms + CHECK_MS
    return actions, deadline


def _keepalive_at(first_unreplied, tried):
    # One that could not be sent is not tried again at once.
    return max(first_unreplied, tried) + wire.KEEPALIVE_MS if first_unreplied else 0


def _new_handshake_at(first_unanswered, sent_data, fired, jitter):
    if not first_unanswered:
        return 0
    if fired < first_unanswered:
        return first_unanswered + wire.NEW_HANDSHAKE_MS + jitter
    # Asked for already: again only when more data went out since.
    return fired + wire.NEW_HANDSHAKE_MS + jitter if sent_data > fired else 0


def _persistent_at(last, persistent, now_ms):
    if not persistent:
        return 0
    return last + persistent if last else now_ms
