# SPDX-License-Identifier: MIT
"""Peers that a command let in, or that stay for a time: what its answer gives them, how long they
stay, and who asks for it anew (protocol.md, "Strangers"; control.md, "Admission").
"""

from tunlite import addresses, keys
from tunlite.control import timers
from tunlite.plane import plane as planes
from tunlite.prefixes import key_of, prefix_of

SILENT_MS = 600_000
_RATES = ("rate_in", "rate_out")
_AGAIN_MS = 1000  # where too many questions wait, at the earliest
_PUBLISHING_SHARE = 10  # routes are published for a tenth of the time
_HALF_MOST_MS = 3000  # they wait for a change set that is half sent
_HALF_AGAIN_MS = 50


class Guest(timers.Timer):
    """How long a peer may stay that was let in. `callback`: the Guests."""

    ends_ms = renews_ms = 0  # 0: for ever
    asked_of = None

    def __init__(self, guests, peer, now_ms):
        super().__init__(guests)
        self.peer = peer
        self.came_ms = now_ms

    def expired(self, now_ms):
        self.callback.look_at(self, now_ms)

    def stays(self, lifetime_s, now_ms):
        self.ends_ms = now_ms + 1000 * lifetime_s if lifetime_s else 0
        self.renews_ms = now_ms + 750 * lifetime_s if lifetime_s else 0

    def asks(self, asked_of):
        self.asked_of = asked_of


class Answer:
    """What a command said of a peer. `pairs`: UAPI keys and values. ValueError: what is wrong."""

    def __init__(self, pairs):
        self.allowed = []
        self.macs = []
        self.said = {}
        self.psk = None
        for key, value in pairs:
            if key == "preshared_key":
                self.psk = value
            elif key == "allowed_ip":
                prefix = addresses.network(addresses.parse_prefix(bytes(value).decode()))
                if prefix not in self.allowed:
                    self.allowed.append(prefix)
            elif key == "macs":
                self.macs = addresses.parse_macs(bytes(value).decode())
            elif key in ("lifetime", "description", "group", "rate_in", "rate_out"):
                self.said[key] = bytes(value).decode()
            elif key != "replace_allowed_ips":
                raise ValueError(key + " is none of an answer's")
        self.lifetime_s = int(self.said.get("lifetime", "0"))
        # None: not said, so that its group's hold
        self.rates = [int(self.said[k]) if self.said.get(k) else None for k in _RATES]


class Guests:
    """Of one interface, `owner`."""

    def __init__(self, owner):
        self._owner = owner
        self._native = owner.port.native
        self._guests = {}  # handle -> Guest
        self.publish_ms = 0  # not before
        self._half_ms = 0  # since when that was for a set that is half sent
        self._publish = timers.Timer(self.publish_now)

    def add(self, peer):
        guest = Guest(self, peer, self._owner.port.now_ms())
        self._guests[peer.handle] = guest
        return guest

    def left(self, peer):
        """Whether it was one."""
        guest = self._guests.pop(peer.handle, None)
        if guest is not None:
            self._owner.timers.set(guest, None)
        return guest is not None

    def asked_of(self):
        """An answer counts only while this is the same."""
        return self._owner.me, self._owner.blocked.changes

    # ---- what an answer gives ----

    def overlap(self, public, answer):
        """Why what the answer gives would take something from another peer, or is none of this
        layer's, or None."""
        if answer.allowed and self._owner.bridge is not None:
            return "layer 2 has no AllowedIPs"
        for prefix in answer.allowed:
            owner = self._owner
            for key, other in owner.allowed.overlapping(prefix, owner.let_turn):
                same = key[1] >= prefix[2]  # or inside: not a shorter one
                if other.public != public and (same or other.origin == "admitted"):
                    return (
                        f"its AllowedIPs {addresses.format_prefix(prefix)} and"
                        f" {addresses.format_prefix(prefix_of(key))} of {keys.text(other.public)}"
                        " overlap"
                    )
        return self._taken(public, answer.macs) if answer.macs else None

    def _taken(self, public, macs):
        if self._owner.bridge is None:
            return "only layer 2 has MACs"
        for mac in macs:
            other = self._owner.bridge.owner_of(mac)
            if other is not None and other.public != public:
                text = self._owner.log.outer(addresses.format_mac(mac))
                return f"its MACs have {text} of {keys.text(other.public)}"
        return None

    def apply(self, guest, answer, now_ms):
        """False: there is no such group."""
        owner = self._owner
        peer = guest.peer
        if not owner.join(peer, answer.said.get("group", "")):
            return False
        self._set_psk(peer, answer.psk)
        for place in (0, 1):
            if peer.rates[place] != answer.rates[place]:
                peer.rated(place, answer.rates[place])
        text = answer.said.get("description", "")
        if text != peer.description:
            peer.described(text)
        wanted = [key_of(prefix) for prefix in answer.allowed]
        if sorted(wanted) != sorted(peer.allowed):
            owner.allowed.clear(peer)
            for prefix in answer.allowed:
                owner.allowed.add(peer, prefix)
        if owner.bridge is not None:
            owner.bridge.pin(peer, answer.macs)
        guest.stays(answer.lifetime_s, now_ms)
        return True

    def _set_psk(self, peer, digits):
        peer.drop_psk(self._native)
        if digits is not None:
            psk = bytearray(32)
            keys.unhex(psk, digits)
            self._owner.set_psk(peer, psk)
            self._native.tl_wipe(psk, 32)

    # ---- routes ----

    def publish_soon(self):
        """Many come or go at once: their routes are published together."""
        self._owner.timers.set(self._publish, self.publish_ms)

    def is_held(self, now_ms):
        """Half of somebody's change set would be told: it ends first, where that is soon."""
        self._half_ms = (self._half_ms or now_ms) if self._owner.half_sent else 0
        if not self._half_ms or now_ms - self._half_ms >= _HALF_MOST_MS:
            return False
        self.publish_ms = now_ms + _HALF_AGAIN_MS
        self.publish_soon()
        return True

    def publish_now(self, now_ms):
        if self.is_held(now_ms):
            return
        owner = self._owner
        began_ms = owner.port.now_ms()
        owner.commit()
        ended_ms = owner.port.now_ms()
        self.publish_ms = ended_ms + _PUBLISHING_SHARE * (ended_ms - began_ms)
        owner.timers.set(self._publish, None)

    # ---- how long they stay ----

    def look_at(self, guest, now_ms):
        """It goes when it was silent, or its time is over; else it is looked at then."""
        peer = guest.peer
        when_ms, why = guest.ends_ms, "lifetime"
        if peer.origin == "admitted":
            received_ms = self._owner.plane.state(peer.handle)[planes.RECEIVED_ANY]
            silent_ms = max(received_ms, guest.came_ms) + SILENT_MS
            if not when_ms or silent_ms < when_ms:
                when_ms, why = silent_ms, "silent"
        if when_ms > now_ms:
            self._owner.timers.set(guest, min(when_ms, self._asks_at(guest, now_ms) or when_ms))
        else:
            self._owner.remove_peer(peer, why)
            self.publish_soon()

    def _asks_at(self, guest, now_ms):
        """When its time is to be asked for though no handshake may come before it ends; None: not
        any more. Its session has proved as much as the first packet after a handshake does."""
        if not guest.renews_ms or guest.peer.origin != "admitted":
            return None
        if now_ms < guest.renews_ms:
            return guest.renews_ms
        if not guest.peer.established.began_ms or self._ask(guest):
            return None  # its next handshake asks
        return now_ms + max(_AGAIN_MS, (guest.ends_ms - now_ms) // 4)

    def lasts(self, peer, seconds):
        """Somebody who may set says how long the peer stays from now on."""
        guest = self._guests.get(peer.handle)
        if guest is None:
            guest = self.add(peer)
        now_ms = self._owner.port.now_ms()
        guest.stays(seconds, now_ms)
        if seconds or peer.origin == "admitted":
            self.look_at(guest, now_ms)
        else:
            self._owner.timers.set(guest, None)
            del self._guests[peer.handle]

    def shaken(self, peer, now_ms):
        """A handshake with it is complete: its time is asked for anew."""
        guest = self._guests.get(peer.handle)
        if guest is not None and guest.renews_ms and now_ms >= guest.renews_ms:
            self._ask(guest)

    def _ask(self, guest):
        """False: too many questions wait."""
        commands = self._owner.commands
        if commands is None or guest.asked_of is not None:
            return True
        peer = guest.peer
        guest.asks(self.asked_of())
        record = self._owner.plane.endpoint_of(peer.handle)
        taken = commands.verify(peer.public, record, lambda pairs: self._renewed(guest, pairs))
        if not taken:
            guest.asks(None)
        return taken

    def _renewed(self, guest, pairs):
        owner = self._owner
        peer = guest.peer
        same = guest.asked_of == self.asked_of()
        guest.asks(None)
        if pairs is None or not same or self._guests.get(peer.handle) is not guest:
            return
        try:
            answer = Answer(pairs)
            why = self.overlap(peer.public, answer)
        except ValueError as e:
            why = f"the command's answer: {e}"
        if not why and not self.apply(guest, answer, owner.port.now_ms()):
            why = "its group is not there"
        if why:
            owner.log.info(f"{keys.text(peer.public)} may not stay: {why}", "admission")
            return
        self.look_at(guest, owner.port.now_ms())
        self.publish_soon()
