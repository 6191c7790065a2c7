# SPDX-License-Identifier: MIT
"""Handshake messages before Python sees them: mac1, cookies, token buckets, the ring."""

import hashlib
import struct

import pytest

from tests.native.plane_ffi import COOKIE_KEY, MAC1_KEY, Plane, endpoint, ffi, lib

RING = 64


def mac(key, data):
    """Keyed BLAKE2s of 16 bytes, by Python's own implementation."""
    return hashlib.blake2s(data, digest_size=16, key=key).digest()


def initiation(sender=b"\1\2\3\4", cookie=None, filler=0):
    """An initiation with right macs around nothing sensible."""
    body = b"\1\0\0\0" + sender + bytes([filler % 256]) * 108
    body += mac(MAC1_KEY, body)
    return body + (mac(cookie, body) if cookie else bytes(16))


def response(receiver, cookie=None):
    """A response with right macs around nothing sensible."""
    body = b"\2\0\0\0" + b"\7\7\7\7" + receiver + bytes(48)
    body += mac(MAC1_KEY, body)
    return body + (mac(cookie, body) if cookie else bytes(16))


def open_cookie(reply, question):
    """The cookie in a cookie reply to a question."""
    out = ffi.new("unsigned char[16]")
    mac1 = question[-32:-16]
    assert lib.tl_open(out, 16, COOKIE_KEY, reply[8:32], 24, mac1, 16, reply[32:], 32) == 0
    return bytes(out)


@pytest.fixture
def plane():
    with Plane(ring=RING) as p:
        p.call("plane_identity", MAC1_KEY, COOKIE_KEY)
        yield p


def fill_to_load(plane, n=RING // 8 + 1):
    """Makes the ring just over an eighth full, by as many addresses."""
    for i in range(n):
        plane.put_outside(initiation(filler=i), where=endpoint(f"203.0.113.{i}"))
    plane.turn(3)
    assert plane.drops() == {} and plane.take_outside() == []


def drain(plane):
    """All of the ring."""
    found = []
    while h := plane.handshake():
        found.append(h)
    return found


def cookie_for(plane, where):
    """Asks under load from an address, and opens the answer."""
    question = initiation(filler=200)
    plane.put_outside(question, where=where)
    plane.turn()
    [(reply, to, _)] = plane.take_outside_all()
    assert to == where and plane.drops() == {"cookie_sent": 1}
    return open_cookie(reply, question)


def test_a_right_mac1_reaches_python_with_its_endpoint(plane):
    where = endpoint("198.51.100.1", 77, local="192.0.2.9", ifindex=4)
    plane.put_outside(initiation(), where=where)
    assert plane.turn() & lib.TL_WOKE_HANDSHAKE
    assert plane.handshake() == (where, initiation())
    assert plane.handshake() is None
    assert not plane.turn() & lib.TL_WOKE_HANDSHAKE


def test_python_is_told_whether_mac2_proves_the_address_load_or_not(plane):
    here, there = endpoint("198.51.100.1", 77), endpoint("198.51.100.1", 78)
    question = initiation()
    plane.call("send", lib.TL_NEEDS_COOKIE, here, question, 148)
    [(reply, to, _)] = plane.take_outside_all()
    assert to == here and plane.drops() == {"cookie_sent": 1}
    cookie = open_cookie(reply, question)
    for message, where, proved in (
        (initiation(), here, False),
        (initiation(cookie=cookie), here, True),
        (initiation(cookie=cookie), there, False),
        (initiation(cookie=bytes(16)), here, False),
        (initiation(cookie=cookie)[:-1] + b"x", here, False),
    ):
        plane.put_outside(message, where=where)
        plane.turn()
        assert plane.handshake() == (where, message)
        assert plane.proved == proved
    plane.clock(120_001)
    plane.put_outside(initiation(cookie=cookie), where=here)
    plane.turn()
    assert plane.handshake() and not plane.proved, "the secret is another one by now"


@pytest.mark.parametrize("message", [initiation()[:147], b"\2" + initiation()[1:92], b"\3" * 148])
def test_only_an_initiation_is_answered_with_a_cookie(plane, message):
    here = endpoint("198.51.100.1", 77)
    assert lib.tl_send(plane.number, lib.TL_NEEDS_COOKIE, here, message, len(message)) == -22
    assert plane.take_outside_all() == []


def test_under_load_who_proved_his_address_is_told_as_such(plane):
    fill_to_load(plane)
    where = endpoint("198.51.100.1")
    cookie = cookie_for(plane, where)
    drain(plane)
    plane.put_outside(initiation(cookie=cookie), where=where)
    plane.turn()
    assert plane.handshake() and plane.proved


def test_a_flipped_bit_under_mac1_is_refused(plane):
    message = initiation()
    for i in range(4, 132):
        plane.put_outside(message[:i] + bytes([message[i] ^ 1]) + message[i + 1 :])
    plane.turn(20)
    assert plane.drops() == {"bad_mac1": 128}
    assert drain(plane) == []


def test_without_an_identity_handshakes_are_dropped(plane):
    plane.call("plane_identity", ffi.NULL, ffi.NULL)
    plane.put_outside(initiation())
    plane.turn()
    assert plane.drops() == {"no_identity": 1}


def test_answers_must_name_an_index_of_a_running_handshake(plane):
    index = plane.index(plane.peer())
    cookie_reply = b"\3\0\0\0" + index + bytes(56)
    plane.put_outside(response(index), cookie_reply)
    plane.turn()
    assert [m for _, m in drain(plane)] == [response(index), cookie_reply]
    plane.session(index)
    plane.put_outside(response(index), response(b"\x10\0\0\0"), b"\3\0\0\0" + bytes(60))
    plane.turn()
    assert plane.drops() == {"unknown_index": 3}


def cookie_reply(index, filler=0):
    """One for an index, around nothing sensible."""
    return b"\3\0\0\0" + index + bytes([filler % 256]) * 56


def test_a_cookie_may_answer_our_response_whose_session_is_live_already(plane):
    index = plane.session(plane.index(plane.peer()), initiator=0)
    plane.clock(4999)
    plane.put_outside(cookie_reply(index))
    plane.turn()
    assert [m for _, m in drain(plane)] == [cookie_reply(index)]


@pytest.mark.parametrize(("initiator", "age_ms"), [(0, 5000), (1, 0)])
def test_a_cookie_for_an_older_session_or_an_answered_initiation_is_refused(
    plane, initiator, age_ms
):
    index = plane.session(plane.index(plane.peer()), initiator=initiator)
    plane.clock(age_ms)
    plane.put_outside(cookie_reply(index))
    plane.turn()
    assert plane.drops() == {"unknown_index": 1} and drain(plane) == []


def test_the_endpoint_does_not_move_by_a_cookie_reply(plane):
    peer = plane.peer()
    index, before = plane.index(peer), plane.state(peer)
    plane.put_outside(cookie_reply(index), where=endpoint("198.51.100.99", 1))
    plane.turn()
    assert len(drain(plane)) == 1
    assert plane.state(peer) == before and plane.counters()["roamed"] == 0


def test_forged_cookie_replies_fill_an_eighth_of_the_ring_and_make_no_load(plane):
    index = plane.index(plane.peer())
    for _ in range(2):
        plane.put_outside(*[cookie_reply(index, i) for i in range(100)])
        plane.turn(10)
        assert plane.drops() == {"ring_full": 100 - RING // 8}
        newcomer = initiation(b"\5\6\7\x08")
        plane.put_outside(newcomer)
        plane.turn()
        assert plane.drops() == {} and plane.take_outside() == []
        found = [m for _, m in drain(plane)]
        assert found == [*[cookie_reply(index, i) for i in range(RING // 8)], newcomer]


def test_under_load_a_question_is_answered_with_a_smaller_cookie(plane):
    fill_to_load(plane)
    index = plane.index(plane.peer())
    for question in (initiation(filler=99), response(index)):
        plane.put_outside(question)
        plane.turn()
        [reply] = plane.take_outside()
        assert len(reply) == 64 < len(question)
        assert reply[:8] == b"\3\0\0\0" + question[4:8]
        assert open_cookie(reply, question)
    assert plane.drops() == {"cookie_sent": 2}


@pytest.mark.parametrize(
    ("here", "others"),
    [
        (("198.51.100.1", 500), [("198.51.100.1", 501), ("198.51.100.2", 500)]),
        (("2001:db8::1", 500), [("2001:db8::1", 501), ("2001:db8::2", 500)]),
    ],
)
def test_the_cookie_is_over_address_and_port(plane, here, others):
    fill_to_load(plane)
    cookie = cookie_for(plane, endpoint(*here))
    plane.put_outside(initiation(cookie=cookie), where=endpoint(*here))
    plane.turn()
    assert plane.drops() == {}
    for other in others:
        plane.put_outside(initiation(cookie=cookie), where=endpoint(*other))
        plane.turn()
        assert plane.drops() == {"cookie_sent": 1}


def test_cookies_are_of_another_secret_after_two_minutes(plane):
    here = endpoint("2001:db8::1", 500)
    fill_to_load(plane)
    cookie = cookie_for(plane, here)
    plane.clock(119_999)
    assert cookie_for(plane, here) == cookie
    plane.clock(120_000)
    fresh = cookie_for(plane, here)
    assert fresh != cookie
    plane.put_outside(initiation(cookie=cookie), where=here)
    plane.turn()
    assert plane.drops() == {"cookie_sent": 1}


def test_cookies_end_with_the_identity_that_they_were_made_for(plane):
    here = endpoint("198.51.100.1", 500)
    fill_to_load(plane)
    cookie = cookie_for(plane, here)
    plane.call("plane_identity", MAC1_KEY, COOKIE_KEY)
    plane.put_outside(initiation(cookie=cookie), where=here)
    plane.turn()
    assert plane.drops() == {"cookie_sent": 1}


def test_nonces_of_cookie_replies_never_repeat(plane):
    fill_to_load(plane)
    nonces = set()
    for i in range(50):
        plane.put_outside(initiation(filler=i))
        plane.turn()
        nonces.add(plane.take_outside()[0][8:32])
    assert len(nonces) == 50


def test_load_is_held_for_a_second_after_the_ring_has_drained(plane):
    fill_to_load(plane)
    drain(plane)
    plane.clock(999)
    plane.put_outside(initiation())
    plane.turn()
    assert plane.drops() == {"cookie_sent": 1}
    plane.clock(1000)
    plane.put_outside(initiation())
    plane.turn()
    assert plane.drops() == {} and len(drain(plane)) == 1


def test_a_proved_address_gets_a_burst_and_then_its_rate(plane):
    here = endpoint("198.51.100.1", 500)
    fill_to_load(plane)
    cookie = cookie_for(plane, here)
    plane.put_outside(*[initiation(cookie=cookie, filler=i) for i in range(20)], where=here)
    plane.turn(5)
    assert plane.drops() == {"rate_limited": 15}
    plane.clock(50)  # 20 a second: one more
    plane.put_outside(*[initiation(cookie=cookie, filler=i) for i in range(3)], where=here)
    plane.turn()
    assert plane.drops() == {"rate_limited": 2}


def test_the_rate_is_shared_by_a_64_of_ipv6_and_not_by_two_ipv4_addresses(plane):
    fill_to_load(plane)
    for near, far, shared in (
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("198.51.100.1", "198.51.100.2", False),
    ):
        for where, expected in ((near, 0), (far, 5 if shared else 0)):
            place = endpoint(where, 500)
            cookie = cookie_for(plane, place)
            plane.put_outside(*[initiation(cookie=cookie)] * 5, where=place)
            plane.turn(2)
            assert plane.drops().get("rate_limited", 0) == expected
            drain(plane)
            fill_to_load_again(plane)


def fill_to_load_again(plane):
    """Loaded still, or again."""
    for i in range(RING // 8 + 1):
        plane.put_outside(initiation(), where=endpoint(f"203.0.113.{i}"))
    plane.turn(3)
    plane.take_outside()
    plane.drops()


def aimed_at(nonce, number, want, n):
    """IPv4 addresses whose bucket, were it chosen by what cookie replies show, shares a set."""

    def bucket(address):
        h = 0xCBF29CE484222325 ^ int.from_bytes(nonce[:8], "little")
        for byte in bytes(int(part) for part in address.split(".")):
            h = ((h ^ byte) * 0x100000001B3) & (1 << 64) - 1
        return (((h ^ h >> 29) | 1) >> 1) % 256

    target = bucket(want)
    found = (f"203.0.{i // 256}.{i % 256}" for i in range(65536))
    return [a for a in found if bucket(a) == target and a != want][number : number + n]


def test_nobody_can_choose_addresses_that_push_his_own_out_of_the_rate_limit(plane):
    """The nonce of cookie replies is public: it must not say which bucket an address has."""
    fill_to_load(plane)
    question = initiation(filler=200)
    plane.put_outside(question)
    plane.turn()
    nonce = plane.take_outside()[0][8:32]
    plane.drops()
    mine = endpoint("198.51.100.1", 500)
    cookie = cookie_for(plane, mine)
    for attempt in range(3):
        plane.clock(attempt + 1)
        plane.put_outside(*[initiation(cookie=cookie, filler=i) for i in range(8)], where=mine)
        plane.turn(2)
        assert plane.drops() == {"rate_limited": 3 if attempt == 0 else 8}
        drain(plane)
        fill_to_load_again(plane)
        for other in aimed_at(nonce, 4 * attempt, "198.51.100.1", 4):
            where = endpoint(other, 500)
            theirs = cookie_for(plane, where)
            plane.put_outside(initiation(cookie=theirs), where=where)
            plane.turn()
            assert plane.drops() == {}


def test_unproved_addresses_are_never_rate_limited_however_many_they_send(plane):
    fill_to_load(plane)
    for _ in range(200):
        plane.put_outside(initiation())
        plane.turn()
        assert len(plane.take_outside()) == 1
    assert plane.drops() == {"cookie_sent": 200}


@pytest.mark.parametrize(
    ("flooding", "others"),
    [
        ("198.51.100.1", ["198.51.100.2", "2001:db8::1"]),
        ("2001:db8::1", ["2001:db8:0:1::1", "198.51.100.1"]),
    ],
)
def test_a_flood_at_one_address_does_not_put_all_peers_into_cookie_mode(plane, flooding, others):
    """Who fills a sixteenth of the ring alone has to prove his address, and nobody else."""
    for port in range(300):  # as many ports, or the machines behind one address
        plane.put_outside(initiation(filler=port), where=endpoint(flooding, 1000 + port))
    plane.turn(20)
    assert plane.drops() == {"cookie_sent": 300 - RING // 16}
    plane.take_outside()
    for other in others:
        plane.put_outside(initiation(), where=endpoint(other, 500))
        plane.turn()
        assert plane.drops() == {} and plane.take_outside() == []
    assert len(drain(plane)) == RING // 16 + len(others)


def test_the_one_address_of_a_flood_is_let_in_by_its_cookie_at_its_rate(plane):
    here = endpoint("198.51.100.1", 500)
    plane.put_outside(*[initiation(filler=i) for i in range(RING // 16)], where=here)
    plane.turn()
    cookie = cookie_for(plane, here)
    plane.put_outside(*[initiation(cookie=cookie)] * 9, where=here)
    plane.turn(3)
    assert plane.drops() == {"rate_limited": 9 - RING // 32}  # 3/32 of the ring are its most
    plane.put_outside(initiation(), where=endpoint("198.51.100.2", 500))
    plane.turn()
    assert plane.drops() == {} and plane.take_outside() == []
    assert len(drain(plane)) == RING // 16 + RING // 32 + 1
    plane.put_outside(*[initiation(filler=i) for i in range(RING // 16)], where=here)
    plane.turn()
    assert plane.drops() == {} and len(drain(plane)) == RING // 16


def test_a_full_ring_drops_what_has_a_right_cookie_too(plane):
    fill_to_load(plane)
    found = {}
    for i in range(30):
        here = endpoint(f"198.51.100.{i}", 500)
        cookie = cookie_for(plane, here)
        plane.put_outside(*[initiation(cookie=cookie)] * 5, where=here)
        plane.turn()
        for reason, n in plane.drops().items():
            found[reason] = found.get(reason, 0) + n
    expected = {"ring_full": RING // 8 + 1 + 30 * 5 - RING}
    assert found == expected
    assert len(drain(plane)) == RING


def test_every_question_of_a_large_batch_is_answered_with_a_cookie(plane):
    fill_to_load(plane)
    plane.put_outside(*[initiation(filler=i % 256) for i in range(300)])
    plane.turn(20)
    assert plane.drops() == {"cookie_sent": 300}
    assert [len(d) for d in plane.take_outside()] == [64] * 300


def test_cookie_replies_leave_room_for_our_own_handshakes_when_the_socket_is_full(plane):
    fill_to_load(plane)
    plane.call("fake_room", lib.TL_FAKE_SOCKET, 0)
    plane.put_outside(*[initiation(filler=i) for i in range(30)])
    plane.turn(10)
    assert plane.drops() == {"cookie_sent": 8, "cookie_full": 22}
    for _ in range(8):
        plane.call("send", -1, endpoint(), initiation(), 148)
    with pytest.raises(OSError, match="EAGAIN"):
        plane.call("send", -1, endpoint(), initiation(), 148)
    plane.call("fake_room", lib.TL_FAKE_SOCKET, -1)
    plane.turn()
    assert [len(d) for d in plane.take_outside()] == [64] * 8 + [148] * 8


def test_handshakes_are_sent_with_the_tos_of_the_kernels_wireguard(plane):
    peer = plane.peer()
    plane.call("send", peer, endpoint(), initiation(), 148)
    [(message, where, tos)] = plane.take_outside_all()
    assert (message, where, tos) == (initiation(), endpoint(), 0x88)
    state = plane.state(peer)
    assert (state["tx_bytes"], state["sent_any"], state["sent_data"]) == (148, 1_000_000, 0)
    assert struct.unpack("<I", message[:4]) == (1,)


# ---- the lengths of the two layers --------------------------------------------------------------


def of_layer_2(message):
    """The same with 4 bytes more in its last encrypted field."""
    body = message[:-32] + b"more"
    return body + mac(MAC1_KEY, body) + bytes(16)


def as_long(length, message):
    """A message of that length, with a right mac1."""
    body = message[:-32].ljust(length - 32, b"x")
    return body + mac(MAC1_KEY, body) + bytes(16)


@pytest.fixture
def frames():
    with Plane(layer=2, ring=RING) as p:
        p.call("plane_identity", MAC1_KEY, COOKIE_KEY)
        yield p


def test_messages_of_layer_2_have_four_bytes_more(frames):
    index = frames.index(frames.peer())
    messages = [of_layer_2(initiation()), of_layer_2(response(index)), cookie_reply(index)]
    assert [len(message) for message in messages] == [152, 96, 64]
    frames.put_outside(*messages)
    frames.turn()
    assert [message for _, message in drain(frames)] == messages
    assert frames.drops() == {}


def test_of_the_other_layers_initiations_all_are_counted_and_one_a_minute_is_handed_up(
    plane, frames
):
    for asked, message in ((plane, of_layer_2(initiation())), (frames, initiation())):
        asked.put_outside(*[message] * 20)
        asked.turn()
        assert [message for _, message in drain(asked)] == [message]
        asked.put_outside(message)
        asked.turn()
        assert asked.handshake() is None and asked.take_outside() == []
        assert asked.drops() == {"other_layer": 21}


@pytest.mark.parametrize("at", range(0, 152, 7))
def test_the_mac1_of_the_other_layers_has_to_be_right(plane, at):
    message = bytearray(of_layer_2(initiation()))
    message[at if at != 0 else 5] ^= 1
    plane.put_outside(bytes(message))
    plane.turn()
    assert plane.drops() == ({"bad_length": 1} if at < 136 else {"other_layer": 1})


def test_an_answer_of_the_other_layers_length_is_refused(plane, frames):
    for asked, message in (
        (plane, of_layer_2(response(plane.index(plane.peer())))),
        (frames, response(frames.index(frames.peer()))),
        (plane, as_long(152, response(plane.index(plane.peer())))),
        (frames, as_long(148, response(frames.index(frames.peer())))),
    ):
        asked.put_outside(message)
        asked.turn()
        assert asked.drops() == {"bad_length": 1}


def test_cookies_of_layer_2_are_over_its_own_mac1(frames):
    where = endpoint("198.51.100.1", 7)
    question = of_layer_2(initiation())
    frames.call("send", lib.TL_NEEDS_COOKIE, where, question, len(question))
    [reply] = frames.take_outside()
    cookie = open_cookie(reply, question)
    body = question[:-16]
    frames.put_outside(body + mac(cookie, body), where=where)
    frames.turn()
    assert frames.handshake() is not None and frames.proved
    with pytest.raises(OSError, match="EINVAL"):
        frames.call("send", lib.TL_NEEDS_COOKIE, where, initiation(), 148)
