# SPDX-License-Identifier: MIT
"""Strangers: who is asked about them, what bounds them, how long they stay."""

import random

import pytest

from lab.fakes.net import Node, World
from lab.fakes.port import FakePort
from tunlite import addresses, endpoints, keys, prefixes
from tunlite.control import admission
from tunlite.plane import allowed_ips
from tunlite.protocol import cookie, noise, stamp, wire
from tunlite.uapi import text as uapi

GATEWAY, INSIDE = b"\x0a\0\0\1", b"\x0a\x09\0\1"
ROUTER, ROUTER_INSIDE = b"\x0a\0\0\2", b"\x0a\x09\0\2"
YES = (("allowed_ip", bytearray(b"10.9.0.2/32")),)


class Commands:
    """A runner whose commands end when the test says so; 64 questions wait at most."""

    def __init__(self):
        self.asked = []
        self.open = []

    def verifies(self):
        return True

    def verify(self, public, record, done):
        if len(self.open) >= 64:
            return False
        self.asked.append((public, record))
        self.open.append(done)
        return True

    def answer(self, pairs=None, at=0):
        self.open.pop(at)(None if pairs is None else [(k, bytearray(v)) for k, v in pairs])


class Stranger:
    """Someone with a key who writes initiations to a gateway by himself."""

    def __init__(self, gateway, seed, address=b"\xc6\x33\x64\x01", port=7):
        self.gateway = gateway
        self.port = FakePort(seed=1000 + seed)
        self.noise = noise.Noise(self.port, wire.CONSTRUCTION, wire.IDENTIFIER, int)
        self.me = noise.Identity(self.noise, self.port.random_bytes(32))
        self.gateway_s = noise.Remote(gateway.interface.me.public)
        self.record = endpoints.record(4 if len(address) == 4 else 6, address, port)
        self.stamp_ns = 1_800_000_000_000_000_000

    @property
    def public(self):
        return self.me.public

    def initiation(self, proved=True):
        self.stamp_ns += stamp.TICK
        steps = noise.initiate(
            self.noise, self.me, self.gateway_s, b"ABCD", stamp.tai64n(self.stamp_ns)
        )
        try:
            while True:
                next(steps)
        except StopIteration as e:
            self.state, message = e.value
        jar = cookie.Jar()
        if proved:
            jar.cookie = bytearray(self.gateway.native.cookie_for(self.record))
        jar.add_macs(self.port, message, self.gateway_s.public, 0)
        return bytes(message)

    def comes(self, proved=True, message=None):
        """What he sends is in the gateway's ring."""
        self.gateway.native.ring.append((self.record, message or self.initiation(proved)))

    def answers(self):
        """What was sent back to him."""
        where = endpoints.parts(self.record)[1:3]
        return [row[3] for row in self.gateway.world.log if row[2] == where]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def gateway(world):
    node = Node(world, GATEWAY).start()
    node.interface.commands = Commands()
    return node


@pytest.fixture
def router(world, gateway):
    node = Node(world, ROUTER).start()
    node.add(gateway, INSIDE)
    return node


def counted(gateway):
    """Grows by one with each X25519 of the gateway."""
    x25519, times = gateway.port.x25519, []
    gateway.port.x25519 = lambda *words: times.append(gateway.world.clock.now_ms) or x25519(*words)
    return times


def refused(gateway):
    return gateway.interface.exchange.refused


def parked(gateway):
    found = gateway.interface.admission
    return found.seen()["parked"] if found else 0


def let_in(world, gateway, one, pairs=YES):
    one.comes()
    gateway.settle()
    gateway.interface.commands.answer(pairs)
    gateway.settle()
    return gateway.interface.peers[one.public]


# ---- who is asked, and when ----


def test_a_stranger_is_asked_for_a_cookie_then_asked_about_and_its_packet_arrives(
    world, gateway, router
):
    commands = gateway.interface.commands
    router.send(INSIDE)
    world.run(0.1)
    assert commands.asked == [] and gateway.native.drops == {"cookie_sent": 1}
    world.run(6)
    assert [public for public, _ in commands.asked] == [router.interface.me.public]
    assert endpoints.parts(commands.asked[0][1])[1] == ROUTER
    assert router.interface.me.public not in gateway.interface.peers
    commands.answer((*YES, ("description", b"a router")))
    world.run(1)
    peer = gateway.interface.peers[router.interface.me.public]
    assert (peer.origin, peer.description) == ("admitted", "a router")
    assert gateway.received() == [b"hello"]
    gateway.send(ROUTER_INSIDE, b"back")
    world.run(1)
    assert router.received() == [b"back"]


@pytest.mark.parametrize("commands", [None, "no OnVerify"])
def test_where_no_command_is_asked_a_stranger_ends_after_one_x25519_and_gets_nothing(
    world, gateway, router, commands
):
    gateway.interface.commands = commands and Commands()
    if commands:
        gateway.interface.commands.verifies = lambda: False
    times = counted(gateway)
    router.send(INSIDE)
    world.run(1)
    assert len(times) == 1 and refused(gateway) == {"from an unknown peer": 1}
    assert gateway.native.drops == {} and gateway.interface.admission is None


def test_a_refused_stranger_costs_one_x25519_for_a_minute_and_is_asked_about_again_then(gateway):
    commands = gateway.interface.commands
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    commands.answer(None)
    times = counted(gateway)
    gateway.world.clock.now_ms += 59_999
    one.comes()
    gateway.settle()
    assert len(times) == 1 and len(commands.asked) == 1
    gateway.world.clock.now_ms += 1
    one.comes()
    gateway.settle()
    assert len(commands.asked) == 2 and one.answers() == []


@pytest.mark.parametrize("change", ["block", "unblock", "folder", "folder goes"])
def test_refusals_are_forgotten_when_the_folder_or_the_list_of_blocked_keys_changes(
    gateway, change
):
    interface = gateway.interface
    other = bytes([9]) * 32
    interface.block(bytes([8]) * 32)
    if change == "folder goes":
        interface.claim(interface.add_peer(other), "folder", True)
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    interface.commands.answer(None)
    if change == "block":
        interface.block(other)
    elif change == "unblock":
        interface.unblock(bytes([8]) * 32)
    elif change == "folder":
        interface.claim(interface.add_peer(other), "folder", True)
    else:
        interface.remove_peer(interface.peers[other])
    gateway.world.clock.now_ms += 1001
    one.comes()
    gateway.settle()
    assert len(interface.commands.asked) == 2


def test_a_replayed_initiation_of_a_stranger_is_not_asked_about_again(gateway):
    commands = gateway.interface.commands
    one = Stranger(gateway, 1)
    early, message = one.initiation(), one.initiation()
    one.comes(message=message)
    gateway.settle()
    commands.answer(None)
    gateway.world.clock.now_ms += 61_000
    for old in (message, early):
        one.comes(message=old)
        gateway.settle()
    assert len(commands.asked) == 1 and refused(gateway)["replayed"] == 2


def test_a_stranger_who_left_is_not_let_in_again_by_a_replay(world, gateway):
    one = Stranger(gateway, 1)
    message = one.initiation()
    one.comes(message=message)
    gateway.settle()
    gateway.interface.commands.answer(YES)
    gateway.settle()
    gateway.interface.remove_peer(gateway.interface.peers[one.public])
    gateway.interface.commit()
    one.comes(message=message)
    gateway.settle()
    assert one.public not in gateway.interface.peers and refused(gateway)["replayed"] == 1


# ---- bounds ----


def test_of_one_address_two_are_parked_and_others_still_come(gateway):
    commands = gateway.interface.commands
    for seed in range(4):
        Stranger(gateway, seed, port=seed).comes()
    Stranger(gateway, 9, address=b"\xc6\x33\x64\x02").comes()
    gateway.settle()
    assert len(commands.asked) == 3 and parked(gateway) == 3


@pytest.mark.parametrize(
    "places",
    [
        [b"\xc6\x33\x64\x01"] * 12,
        [bytes.fromhex("20010db800010002") + bytes([i] * 8) for i in range(12)],
    ],
)
def test_of_one_address_or_64_ten_are_asked_about_in_a_minute(gateway, places):
    commands = gateway.interface.commands
    times = []
    for i in range(40):
        one = Stranger(gateway, i, address=places[i % 12])
        before = len(commands.asked)
        one.comes()
        gateway.settle()
        if len(commands.asked) > before:
            times.append(gateway.world.clock.now_ms)
            commands.answer(None)
        gateway.world.clock.now_ms += 3000
    for i in range(len(times) - 10):
        assert times[i + 10] - times[i] >= 60_000
    assert 10 < len(times) <= 20


def test_of_all_together_64_are_parked_for_ten_seconds(gateway):
    strangers = [Stranger(gateway, i, address=bytes([10, 1, 0, i])) for i in range(70)]
    for one in strangers[:64]:
        one.comes()
        gateway.settle()
    times = counted(gateway)
    for one in strangers[64:]:
        one.comes()
        gateway.settle()
    assert len(times) == 6, "of whom nobody can be asked about the second half is not read"
    assert parked(gateway) == 64 and len(gateway.interface.commands.asked) == 64
    assert refused(gateway) == {"from one stranger too many": 6}
    gateway.world.clock.now_ms += 9_999
    gateway.settle()
    assert parked(gateway) == 64
    gateway.world.clock.now_ms += 1
    gateway.turn()
    assert parked(gateway) == 0
    gateway.interface.commands.answer(YES)
    gateway.settle()
    assert gateway.interface.peers == {}, "that answer came too late"


def test_what_strangers_make_grow_has_a_bound(gateway):
    recent = admission.Recent(3)
    for i in range(5):
        recent.put(i, i)
    recent.put(2, 9)
    recent.put(7, 7)
    assert len(recent) == 3
    assert [recent.get(i) for i in (2, 3, 4, 7)] == [9, None, 4, 7]


def test_fresh_keys_from_forged_addresses_leave_places_for_an_honest_newcomer(
    world, gateway, router
):
    """A thousand a second for 8 s, each with a key and an address of its own, of which none can
    prove the address; the flood's initiations are made once and come with new stamps no more than
    a replay could, so each costs the one X25519 that tells its key."""
    forged = [Stranger(gateway, i, address=bytes([11, 0, i, 1])) for i in range(25)]
    messages = [(one.record, one.initiation(proved=False)) for one in forged]
    commands = gateway.interface.commands
    router.send(INSIDE)
    for _ in range(320):
        gateway.native.ring += messages
        world.run(0.025)
    assert gateway.native.drops["cookie_sent"] >= 8000
    assert [public for public, _ in commands.asked] == [router.interface.me.public]
    assert len(gateway.interface.admission._asked) == 1
    commands.answer(YES)
    world.run(1)
    assert gateway.received() == [b"hello"]


def test_behind_a_thousand_strangers_a_known_peer_waits_for_one_x25519_of_each(world, gateway):
    for i in range(1000):
        Stranger(gateway, i, address=bytes([11, 0, i >> 8, i & 255])).comes()
    peer = Stranger(gateway, 5000)
    gateway.interface.add_peer(peer.public)
    peer.comes()
    times = counted(gateway)
    while not peer.answers():
        gateway.turn()
    assert len(times) == 1000 + 5, "and its own five"
    assert gateway.interface.commands.asked == [], "no question before that either"
    gateway.settle()
    assert len(gateway.interface.commands.asked) == 64
    assert len(times) == 1005 + 64, "whom nobody can be asked about is not opened to the end"


def test_who_is_known_does_not_wait_for_a_command(world, gateway):
    for i in range(64):
        Stranger(gateway, i, address=bytes([11, 0, 0, i])).comes()
    gateway.settle()
    assert parked(gateway) == 64
    peer = Stranger(gateway, 5000)
    gateway.interface.add_peer(peer.public)
    peer.comes()
    times = counted(gateway)
    gateway.settle()
    assert peer.answers() and len(times) == 5


# ---- the answer ----


def test_the_preshared_key_of_the_answer_is_in_the_response(world, gateway, router):
    psk = bytes([5]) * 32
    peer = router.interface.peers[gateway.interface.me.public]
    router.interface.set_psk(peer, bytearray(psk))
    router.send(INSIDE)
    world.run(7)
    gateway.interface.commands.answer((*YES, ("preshared_key", b"05" * 32)))
    world.run(1)
    assert gateway.received() == [b"hello"]


def test_a_later_initiation_takes_the_parked_one_s_place_and_asks_nothing_anew(gateway):
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    gateway.world.clock.now_ms += 5000
    one.comes()
    newest = one.state
    gateway.settle()
    assert len(gateway.interface.commands.asked) == 1 and parked(gateway) == 1
    gateway.interface.commands.answer(YES)
    gateway.settle()
    [response] = one.answers()
    steps = noise.consume_response(one.noise, one.me, one.gateway_s, newest, response)
    with pytest.raises(StopIteration):
        while True:
            next(steps)


def test_a_parked_key_s_initiations_cost_two_x25519_a_second_and_else_one(gateway):
    one = Stranger(gateway, 1)
    one.comes()
    one.comes()
    times = counted(gateway)
    gateway.settle()
    assert len(times) == 3, "the second came while the first waited"
    for wait_ms, cost in ((999, 1), (1, 3), (999, 1), (1, 3)):
        gateway.world.clock.now_ms += wait_ms
        times.clear()
        one.comes()
        one.comes() if cost == 3 else None
        gateway.settle()
        assert len(times) == cost


def test_replays_of_a_parked_key_are_read_once_a_second(gateway):
    one = Stranger(gateway, 1)
    early = one.initiation()
    one.comes()
    gateway.settle()
    gateway.world.clock.now_ms += 5000
    times = counted(gateway)
    for _ in range(10):
        one.comes(message=early)
        gateway.settle()
    assert len(times) == 10 + 1


def test_a_replay_cannot_take_the_parked_one_s_place(gateway):
    one = Stranger(gateway, 1)
    early = one.initiation()
    one.comes()
    gateway.settle()
    gateway.world.clock.now_ms += 5000
    one.comes(message=early)
    gateway.settle()
    assert refused(gateway) == {"replayed": 1} and parked(gateway) == 1


@pytest.mark.parametrize("change", ["blocked", "another is blocked", "our key", "a peer", "down"])
def test_an_answer_to_what_is_another_question_by_now_is_not_applied(gateway, change):
    interface = gateway.interface
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    if change == "blocked":
        interface.block(one.public)
    elif change == "another is blocked":
        interface.block(bytes(32))
    elif change == "our key":
        interface.set_private_key(gateway.port.random_bytes(32))
    elif change == "down":
        interface.link_down()
    else:
        interface.claim(interface.add_peer(one.public), "folder", True)
    interface.commands.answer(YES)
    gateway.settle()
    found = interface.peers.get(one.public)
    assert (found.origin if found else None) == ("folder" if change == "a peer" else None)
    assert one.answers() == [] and parked(gateway) == 0


def test_who_is_blocked_between_the_answer_and_the_response_gets_none(gateway):
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    gateway.interface.commands.answer(YES)
    assert one.public in gateway.interface.peers
    gateway.interface.block(one.public)
    gateway.settle()
    assert one.answers() == [] and gateway.interface.peers == {}
    assert gateway.log.texts("error") == []


@pytest.mark.parametrize("pairs", [(("group", b"none"),), (("x", b"1"),), (("allowed_ip", b"1"),)])
def test_an_answer_that_cannot_be_taken_refuses_him_and_is_told(gateway, pairs):
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    gateway.interface.commands.answer(pairs)
    gateway.settle()
    assert gateway.interface.peers == {} and parked(gateway) == 0
    assert keys.text(one.public) + " is not let in: " in gateway.log.texts("info")[-1]


def test_there_are_so_many_admitted_peers_and_no_more(gateway):
    gateway.interface.admits_most = 1
    let_in(gateway.world, gateway, Stranger(gateway, 1))
    one = Stranger(gateway, 2)
    one.comes()
    gateway.settle()
    gateway.interface.commands.answer([("allowed_ip", b"10.9.0.3/32")])
    assert len(gateway.interface.peers) == 1


@pytest.mark.parametrize(
    "other, origin, wanted, taken",
    [
        ("10.8.0.0/24", "", "10.8.0.0/24", False),
        ("10.8.0.0/24", "", "10.8.0.0/16", False),
        ("10.8.0.0/24", "", "10.8.0.7/32", True),
        ("0.0.0.0/0", "", "10.8.0.7/32", True),
        ("10.8.0.0/24", "folder", "10.8.0.7/32", True),
        ("10.8.0.0/24", "admitted", "10.8.0.0/24", False),
        ("10.8.0.0/24", "admitted", "10.8.0.0/16", False),
        ("10.8.0.0/24", "admitted", "10.8.0.7/32", False),
        ("10.8.0.0/24", "admitted", "10.8.1.0/24", True),
        ("fd00::/64", "", "fd00::/48", False),
        ("fd00::/64", "admitted", "fd00::7/128", False),
        ("fd00::/64", "", "fd00::7/128", True),
        ("::/0", "admitted", "10.8.0.0/24", True),
        ("10.8.0.0/24", "", "::/0", True),
    ],
)
def test_a_newcomer_takes_no_prefix_from_anybody_and_both_are_named(
    gateway, other, origin, wanted, taken
):
    interface = gateway.interface
    peer = interface.add_peer(bytes([9]) * 32)
    peer.claimed(origin, True)
    interface.allowed.add(peer, addresses.parse_prefix(other))
    interface.commit()
    before = list(peer.allowed)
    one = Stranger(gateway, 1)
    one.comes()
    gateway.settle()
    interface.commands.answer([("allowed_ip", wanted.encode())])
    gateway.settle()
    assert (one.public in interface.peers) == taken
    assert peer.allowed == before
    if not taken:
        told = gateway.log.texts("info")[-1]
        assert keys.text(one.public) in told and keys.text(peer.public) in told
        assert wanted in told and other in told


def test_what_lies_in_a_prefix_is_found_as_a_dumb_search_finds_it():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)

    def drawn():
        family = chance.choice((4, 6))
        size = 4 if family == 4 else 16
        address = bytes(chance.choice((0, 0, 1, 128)) for _ in range(size))
        return addresses.network((family, address, chance.randrange(size * 8 + 1)))

    class Peer:
        sharing = None
        origin = ""

        def __init__(self, handle):
            self.handle = handle
            self.allowed = []

        def allows(self, found):
            self.allowed = found

    table = allowed_ips.AllowedIPs()
    peers = [Peer(i) for i in range(5)]
    for _ in range(600):
        if chance.random() < 0.7:
            table.add(chance.choice(peers), drawn())
        else:
            peer = chance.choice(peers)
            if peer.allowed:
                table.remove(peer, prefixes.prefix_of(chance.choice(peer.allowed)))
                table.settle()
        asked = drawn()
        found = sorted(key for key, _ in table.overlapping(asked, lambda: None))
        dumb = []
        for key, _ in table._owners.items():
            family, address, bits = prefixes.prefix_of(key)
            least = min(bits, asked[2])
            if family == asked[0] and (
                addresses.network((family, address, least))
                == addresses.network((family, asked[1], least))
            ):
                dumb.append(key)
        assert found == sorted(dumb)


def test_routes_of_many_newcomers_are_published_together(gateway, monkeypatch):
    published = []
    commit = gateway.interface.commit

    def slow():
        changed = gateway.interface.allowed.changed
        commit()
        if changed:
            published.append(gateway.world.clock.now_ms)
            gateway.world.clock.now_ms += 10

    monkeypatch.setattr(gateway.interface, "commit", slow)
    for i in range(30):
        one = Stranger(gateway, i, address=bytes([11, 0, 0, i]))
        one.comes()
        gateway.settle()
        gateway.interface.commands.answer([("allowed_ip", f"10.8.0.{i}/32".encode())])
        gateway.settle()
        gateway.world.clock.now_ms += 1
    gateway.world.run(1)
    assert len(gateway.interface.peers) == 30 and len(gateway.native.routes) == 30
    assert len(published) < 8


def half_sent(gateway):
    """A set that changes a peer's prefix, but for the end."""
    setters = []
    for lines in (["allowed_ip=10.7.0.0/16"], ["replace_allowed_ips=true"]):
        setters.append(uapi.Setter(gateway.interface))
        for line in [f"public_key={'ab' * 32}", *lines]:
            setters[-1].line(bytearray(line.encode()))
        if len(setters) == 1:
            setters[0].end()
    return setters[1]


def routed(gateway):
    return sorted([row[4][:4] for row in gateway.native.routes])


def test_who_is_let_in_while_a_set_is_half_sent_is_answered_and_routed_when_it_ends(gateway):
    setter = half_sent(gateway)
    one = Stranger(gateway, 1)
    let_in(gateway.world, gateway, one)
    gateway.world.run(1)
    assert routed(gateway) == [bytes([10, 7, 0, 0])] and one.answers() == []
    setter.line(bytearray(b"allowed_ip=10.8.0.0/16"))
    setter.end()
    gateway.world.run(0.1)
    assert routed(gateway) == [bytes([10, 8, 0, 0]), ROUTER_INSIDE] and len(one.answers()) == 1


def test_nobody_waits_for_ever_for_a_set_that_is_half_sent(gateway):
    half_sent(gateway)
    for i in (1, 2):
        one = Stranger(gateway, i)
        let_in(gateway.world, gateway, one, [("allowed_ip", f"10.9.0.{i}/32".encode())])
        gateway.world.run(4 if i == 1 else 0.1)
        assert len(gateway.native.routes) == i and len(one.answers()) == i


# ---- how long they stay ----


def shown(gateway):
    return len(gateway.interface.peers)


def test_who_is_silent_for_ten_minutes_goes_and_his_route_with_him(gateway):
    let_in(gateway.world, gateway, Stranger(gateway, 1))
    gateway.world.run(599)
    assert shown(gateway) == 1 and len(gateway.native.routes) == 1
    gateway.world.run(2)
    assert shown(gateway) == 0 and gateway.native.routes == []


def test_who_speaks_stays_and_may_come_back_when_he_left(world, gateway, router):
    commands = gateway.interface.commands
    router.send(INSIDE)
    world.run(7)
    commands.answer(YES)
    for _ in range(10):
        world.run(120)
        router.send(INSIDE)
    assert shown(gateway) == 1 and len(commands.asked) == 1
    world.run(601)
    assert shown(gateway) == 0
    router.send(INSIDE, b"back")
    world.run(10)
    commands.answer(YES)
    world.run(1)
    assert gateway.received()[-1] == b"back"


@pytest.mark.parametrize("answer", ["yes", "no", "none"])
def test_from_three_quarters_of_the_lifetime_on_the_next_handshake_asks_beside_the_session(
    world, gateway, router, answer
):
    commands = gateway.interface.commands
    reasons = []

    class Listener:
        def established(self, peer):
            pass

        def left(self, peer, reason):
            reasons.append(reason)

    gateway.interface.listeners.append(Listener())
    router.send(INSIDE)
    world.run(7)
    commands.answer((*YES, ("lifetime", b"1000")))
    for second in range(0, 740, 10):
        router.send(INSIDE, bytes([second % 251]))
        world.run(10)
    assert len(commands.asked) == 1
    for second in range(740, 900, 10):
        router.send(INSIDE, bytes([second % 251]))
        world.run(10)
    assert len(commands.asked) == 2
    assert commands.asked[1][0] == router.interface.me.public
    if answer == "yes":
        commands.answer((*YES, ("lifetime", b"1000")))
    elif answer == "no":
        commands.answer(None)
    got = len(gateway.received())
    assert got >= 89, "it goes on meanwhile"
    for second in range(900, 1500, 10):
        router.send(INSIDE, bytes([second % 251]))
        world.run(10)
    if answer == "yes":
        assert reasons == [] and len(gateway.received()) == 60
    else:
        assert reasons == ["lifetime"]


class Ends:
    """A listener that keeps why peers left."""

    def __init__(self, gateway):
        self.reasons = []
        gateway.interface.listeners.append(self)

    def established(self, peer):
        pass

    def left(self, peer, reason):
        self.reasons.append(reason)


@pytest.mark.parametrize("lifetime", [40, 60, 200, 340, 400, 600])
def test_a_router_that_is_renewed_loses_nothing_however_short_its_lifetime_is(
    world, gateway, router, lifetime
):
    """A packet each 5 s for 20 min; the command takes 5 s."""
    commands, ends = gateway.interface.commands, Ends(gateway)
    yes = (*YES, ("lifetime", str(lifetime).encode()))
    router.send(INSIDE)
    world.run(7)
    commands.answer(yes)
    for _ in range(240):
        waiting = len(commands.open)
        router.send(INSIDE)
        world.run(5)
        for _ in range(waiting):
            commands.answer(yes)
    assert ends.reasons == [] and len(gateway.received()) == 241
    assert len(commands.asked) <= 2 + 1200 / (lifetime * 0.75)


def test_a_lifetime_ends_when_it_is_over_though_nothing_was_heard_meanwhile(gateway):
    let_in(gateway.world, gateway, Stranger(gateway, 1), (*YES, ("lifetime", b"40")))
    gateway.world.run(39)
    assert shown(gateway) == 1
    gateway.world.run(2)
    assert shown(gateway) == 0 and len(gateway.interface.commands.asked) == 1


def test_who_is_let_in_when_the_daemon_is_up_for_long_was_not_silent_for_so_long(gateway):
    gateway.world.run(1000)
    let_in(gateway.world, gateway, Stranger(gateway, 1))
    assert shown(gateway) == 1


@pytest.mark.parametrize("answer", ["no", "too many wait"])
def test_who_is_not_renewed_is_asked_about_by_the_timer_until_the_question_is_taken(
    world, gateway, router, answer
):
    commands, ends = gateway.interface.commands, Ends(gateway)
    router.send(INSIDE)
    world.run(7)
    commands.answer((*YES, ("lifetime", b"80")))
    if answer != "no":
        commands.open = [None] * 64
    for _ in range(62):
        router.send(INSIDE)
        world.run(1)
    if answer == "no":
        commands.answer(None)
    else:
        assert len(commands.asked) == 1
        commands.open = []
    for _ in range(10):
        router.send(INSIDE)
        world.run(1)
    assert len(commands.asked) == 2 and ends.reasons == []
    if answer != "no":
        commands.answer((*YES, ("lifetime", b"80")))
    for _ in range(10):
        router.send(INSIDE)
        world.run(1)
    assert ends.reasons == (["lifetime"] if answer == "no" else [])


def test_what_a_renewal_says_is_taken(world, gateway, router):
    commands = gateway.interface.commands
    router.send(INSIDE)
    world.run(7)
    commands.answer((*YES, ("lifetime", b"40"), ("rate_in", b"5000"), ("rate_out", b"")))
    [peer] = gateway.interface.peers.values()
    assert list(peer.rates) == [5000, None]
    world.run(32)
    for _ in range(40):
        router.send(INSIDE)
        world.run(5)
        if commands.open:
            break
    commands.open and commands.answer(
        (("allowed_ip", b"10.9.0.3/32"), ("lifetime", b"4000"), ("description", b"new"))
    )
    world.run(1)
    [peer] = gateway.interface.peers.values()
    assert peer.description == "new" and list(peer.rates) == [None, None]
    assert peer.allowed == [b"\x04\x20\x0a\x09\0\3"] and len(gateway.native.routes) == 1


def test_a_renewal_that_says_the_same_publishes_nothing(world, gateway, router):
    commands = gateway.interface.commands
    yes = (*YES, *YES, ("lifetime", b"40"))
    router.send(INSIDE)
    world.run(7)
    commands.answer(yes)
    world.run(31)
    del gateway.native.routes[:]
    commands.answer(yes)
    world.run(1)
    assert gateway.native.routes == []


def test_a_peer_that_the_file_names_by_now_is_no_guest_any_more(gateway):
    peer = let_in(gateway.world, gateway, Stranger(gateway, 1), (*YES, ("lifetime", b"100")))
    seen = gateway.interface.admission.seen
    assert (seen()["admitted"], seen()["let_in"]) == (1, 1)
    assert gateway.interface.claim(peer, "")
    assert (seen()["admitted"], seen()["let_in"]) == (0, 1)
    gateway.world.run(3000)
    assert shown(gateway) == 1


def test_a_peer_that_was_added_for_a_time_goes_then_whether_anybody_is_asked_or_not(gateway):
    interface = gateway.interface
    interface.commands = None
    peer = interface.add_peer(bytes([9]) * 32)
    interface.claim(peer, "added", True)
    interface.set_lifetime(peer, 1000)
    gateway.world.run(990)
    interface.set_lifetime(peer, 1000)
    other = interface.add_peer(bytes([8]) * 32)
    interface.set_lifetime(other, 100)
    interface.set_lifetime(other, 0)
    gateway.world.run(990)
    assert shown(gateway) == 2
    gateway.world.run(11)
    assert list(interface.peers.values()) == [other]


def test_secrets_of_strangers_are_wiped_however_it_ends(gateway):
    made = []
    init = admission.Stranger.__init__

    def noted(self, *words):
        init(self, *words)
        made.append((self, self.state))

    admission.Stranger.__init__ = noted
    try:
        for i in range(6):
            one = Stranger(gateway, i, address=bytes([11, 0, 0, i]))
            one.comes()
        gateway.settle()
        gateway.world.clock.now_ms += 2000
        one.comes()
        gateway.settle()
        gateway.interface.commands.answer(YES)
        gateway.interface.commands.answer(None)
        gateway.interface.commands.answer([("x", b"1")])
        gateway.settle()
        gateway.world.clock.now_ms += 10_000
        gateway.turn()
    finally:
        admission.Stranger.__init__ = init
    assert len(made) == 7
    for one, state in made:
        assert not any(state._secret) and one.static_static is None
