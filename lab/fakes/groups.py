# SPDX-License-Identifier: MIT
"""A router and its gateways on the fakes (net.py): one group, pings through it, and what happens to
gateways and ways."""

from lab.fakes.net import Node, World
from tunlite.uapi import text as uapi

ROUTER = b"\x0a\0\0\x01"
SOURCE, TARGET = b"\x0a\x4d\0\x02", b"\x0a\x4d\0\x01"  # inside, and what ProbeAddress is


class Links:
    """The device's addresses."""

    def __init__(self):
        self.rows = [(SOURCE, 24, 0, 0)]

    def addresses(self, _index):
        return self.rows


class Gateways:
    """`count` gateways that answer for TARGET; options of the group as UAPI has them, for instance
    choose="order". Pings are packets that a gateway answers at once."""

    def __init__(self, count=3, seed=1, persistent_s=0, probe=False, layer=3, **options):
        self.world = World(seed)
        self.layer = layer
        self.router = Node(self.world, ROUTER, seed=seed, layer=layer)
        self.router.port.links = Links()
        self.router.interface.device = 1
        self.router.start()
        self.gateways = [self._gateway(2 + i, seed) for i in range(count)]
        self.group = self._join(options, probe, persistent_s)
        self.sent = self.answered = 0  # pings
        self.unanswered = set()  # numbers of pings
        self.silent = set()  # gateways whose inside answers nothing
        self.dead = set()  # outside addresses that nothing comes from or goes to
        self.deaf = set()  # that nothing goes to
        self.loss = 0.0
        self.world.loses = self._loses

    def _gateway(self, number, seed):
        address = bytes([10, 0, 0, number])
        node = Node(self.world, address, seed=1000 * seed + number, layer=self.layer).start()
        node.native.answers = {TARGET}
        node.interface.add_peer(self.router.interface.me.public)
        node.add(self.router, SOURCE, endpoint=False)
        return node

    def _join(self, options, probe, persistent_s):
        options.setdefault("limit", 1)
        if probe:
            options["probe_address"] = "10.77.0.1"
        lines = ["group_name=gateways"] + [f"group_{key}={options[key]}" for key in options]
        for i, node in enumerate(self.gateways):
            lines += [f"public_key={node.interface.me.public.hex()}", "group=gateways"]
            lines += [f"endpoint=10.0.0.{2 + i}:51820"]
            lines += ["allowed_ip=10.77.0.1/32"] if self.layer == 3 else []
            lines += [f"description=gw{i}", f"persistent_keepalive_interval={persistent_s}"]
        self.set(*lines)
        return self.router.interface.groups.all()[0]

    def set(self, *lines):
        """A change set at the router's socket."""
        setter = uapi.Setter(self.router.interface)
        for line in lines:
            setter.line(bytearray(line.encode()))
        setter.end()

    def _loses(self, packet):
        (source, _), (target, _), _ = packet
        if source in self.dead or target in self.dead or target in self.deaf:
            return True
        return self.world.chance.random() < self.loss

    def key(self, number):
        return self.gateways[number].interface.me.public.hex()

    @property
    def used(self):
        """The number of the gateway in use."""
        public = self.group.choice.used.peer.public
        return [node.interface.me.public for node in self.gateways].index(public)

    @property
    def losses(self):
        by_key = {m.peer.public: m.losses for m in self.group.choice.members}
        return [by_key[node.interface.me.public] for node in self.gateways]

    def ping(self, seconds, every_ms=100, answered=True):
        """One ping each `every_ms`; how many were answered, each by its number."""
        before = self.answered
        for _ in range(int(seconds * 1000 / every_ms)):
            self.sent += 1
            self.unanswered.add(self.sent)
            self.router.native.from_device(SOURCE + TARGET + b"ping %d" % self.sent)
            self._pass(every_ms, answered)
        return self.answered - before

    def _pass(self, ms, answered=True):
        """Time passes, then gateways answer what came."""
        self.world.run(ms / 1000)
        for number, node in enumerate(self.gateways):
            for payload in node.received() if node.native.port else ():
                if answered and number not in self.silent and payload.startswith(b"ping"):
                    node.native.from_device(TARGET + SOURCE + b"pong" + payload[4:])
        self.world.run(0)
        for payload in self.router.received():
            number = int(payload[5:]) if payload.startswith(b"pong") else 0
            if number in self.unanswered:
                self.unanswered.remove(number)
                self.answered += 1

    def lost(self):
        """How many pings were not answered, once none is under way."""
        for _ in range(50):
            self._pass(10)
        lost = len(self.unanswered)
        self.unanswered.clear()
        return lost

    def back_in(self, seconds=30, every_ms=100):
        """Milliseconds until a ping is answered again; those under way do not count."""
        began_ms = self.world.clock.now_ms
        self.ping(0.1)
        for _ in range(int(seconds * 1000 / every_ms)):
            if self.ping(every_ms / 1000, every_ms):
                return self.world.clock.now_ms - began_ms
        raise AssertionError(f"no answer within {seconds} s")

    def kill(self, *numbers):
        """Nothing comes from these gateways, and nothing gets there."""
        self.dead |= {self.gateways[number].address for number in numbers}

    def revive(self, *numbers):
        self.dead -= {self.gateways[number].address for number in numbers}
