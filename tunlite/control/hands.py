# SPDX-License-Identifier: MIT
"""What the choice of a group sees and does: choice.py's words, and the daemon behind them."""

from tunlite import keys
from tunlite.control import established, timers
from tunlite.plane import plane as planes

_AGAIN_MS = 1000


def label(peer):
    """A peer for people."""
    return peer.description or keys.text(peer.public)


class Hands:
    """`interface` is an Interface, `group` a groups.Group, `pings` the Pings of its layer. With a
    member's peer as argument:

    begin(peer)  a handshake, as data would begin it; shake(peer) at once; ask(peer) whose answer is
    thrown away; rest(peer) ends what is under way; echo(peer): False, no session can send it;
    echoes(peer): is it asked by echoes? echoed_ms(peer): the last one answered;
    stamps(peer): (first unanswered, last sent, last received) in ms; rekey_ms(peer): the first
    initiation unanswered, 0: none; active(peer): does data flow? placed(peer): has it an endpoint?

    And with members: use(old or None, new, why): the others stand by; check(member) runs
    HealthCommand, which tells checked(). wake_at(ms or None); below(n): a number drawn.
    """

    def __init__(self, interface, group, pings):
        self._interface = interface
        self._exchange = interface.exchange
        self._plane = interface.plane
        self._group = group
        self._pings = pings
        self._timer = timers.Timer(self._expired)

    def below(self, number):
        return int.from_bytes(self._interface.port.random_bytes(4), "big") % number

    def wake_at(self, when_ms):
        self._interface.timers.set(self._timer, when_ms)

    def _expired(self, now_ms):
        # Looked at again even if this look fails.
        self.wake_at(now_ms + _AGAIN_MS)
        self._exchange.now_ms = now_ms
        self._group.choice.run(now_ms)

    # ---- what is seen ----

    def stamps(self, peer):
        state = self._plane.state(peer.handle)
        received_ms = state[planes.RECEIVED_ANY]
        first_ms = state[planes.FIRST_UNANSWERED]
        sent_ms = state[planes.SENT_DATA]
        asked_ms = peer.shakes.unanswered_ms(received_ms)
        if asked_ms and (not first_ms or asked_ms < first_ms):
            first_ms = asked_ms
        kept_ms = peer.plan.tried_ms if peer.plan.persistent_s and self.echoes(peer) else 0
        if kept_ms > received_ms:
            first_ms = first_ms or kept_ms
            sent_ms = max(sent_ms, kept_ms)
        return first_ms, max(sent_ms, peer.member.wanted_ms), received_ms

    def rekey_ms(self, peer):
        """A probe's initiation is none: it counts from when the session is to be replaced."""
        unmet_ms = peer.shakes.unmet_ms
        due_ms = peer.shakes.complete_ms + self._interface.rekey_ms
        return max(unmet_ms, due_ms) if unmet_ms else 0

    def active(self, peer):
        return not peer.plan.idle

    def placed(self, peer):
        return not peer.where.nowhere and not peer.blocked

    def echoed_ms(self, peer):
        return self._pings.answered_ms(peer.member)

    def echoes(self, peer):
        return self._pings.can_ask(peer)

    def probed_by(self, peer):
        if not self.echoes(peer):
            return "handshake"
        return "echo" if self._group.choice.is_proven else "echo, handshake"

    def trouble(self):
        """What keeps members from being asked by echoes."""
        return self._pings.trouble(self._group.choice.used)

    # ---- what is done ----

    def begin(self, peer):
        """At once also where it began a handshake within the 5 s, which we answered, or answered
        ours: what is unanswered is asked again in time, and nothing else is held back."""
        exchange = self._exchange
        if not peer.shakes.unmet_ms and exchange.free_ms(peer) > exchange.now_ms:
            exchange.ask(peer)
        else:
            exchange.want(peer, True)

    def shake(self, peer):
        self._exchange.ask(peer)

    def ask(self, peer):
        def told(round_trip_ms):
            if round_trip_ms is not None and self._group.choice is not None and peer.member:
                self._group.choice.thrown(peer.member, round_trip_ms, self._exchange.now_ms)

        self._exchange.measure(peer, told)

    def rest(self, peer):
        if self._group.members.get(peer.handle) is peer:
            self._exchange.rest(peer)

    def echo(self, peer):
        frame = self._pings.frame(peer)
        peer.member.echoes()
        peer.arm()
        return self._plane.keepalive(peer.handle, frame)

    def check(self, member):
        """Where there is no runner, or it has too much to do, nothing is told."""
        interface = self._interface
        choice = self._group.choice

        def done(is_well):
            now_ms = self._exchange.now_ms = interface.port.now_ms()
            if is_well is not None and choice is self._group.choice:
                choice.checked(member, is_well, now_ms)

        if interface.commands is not None:
            interface.commands.health(self._group.name, member.peer.health_address, done)

    def use(self, old, new, why):
        """Make before break: one table takes the place of another."""
        interface = self._interface
        # A set that is half sent may have taken some away.
        peers = [m.peer for m in self._group.choice.members if m.peer.member is m]
        for peer in peers:
            leaves = old is not None and peer is old.peer and why != "silent"
            interface.usage.stand_by(peer, peer is not new.peer, leaves)
        interface.usage.swap(peers, self._plane, interface.let_turn)
        for peer in peers:
            peer.arm()
        if old is not new:
            established.happened("use", new.peer, why)
            if old is not None:
                names = f"{label(new.peer)} in place of {label(old.peer)}"
                interface.log.info(f"group {self._group.name} uses {names}: {why}")
