# SPDX-License-Identifier: MIT
"""Parts against lists and dicts, on ways that lose, repeat, reorder, and lie."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from tests.native import parts_model as model
from tests.native.layer2_ffi import ffi, lib

KEPT, COMPLETES, TWICE, BAD = (
    lib.PART_KEPT,
    lib.PART_COMPLETES,
    lib.PART_TWICE,
    lib.PART_BAD,
)


class Store:
    """C's store; sessions are numbers."""

    def __init__(self, places=16, frame_max=1554):
        self.c = ffi.new("struct parts *")
        assert lib.parts_new(self.c, places, frame_max) == 0
        self.sessions = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.parts_free(self.c)

    def slots(self, session):
        return self.sessions.setdefault(session, ffi.new("struct parts_slots *"))

    def take(self, session, counter, sealed, head, data, has_room=True):
        """(verdict, the frame where it is complete). None for it: it had to be given up."""
        slots, length = self.slots(session), ffi.new("uint32_t *")
        held = ffi.new("uint8_t[]", data)
        part = ffi.new("struct part *", [counter, held, len(data), head, sealed])
        verdict = lib.parts_take(self.c, slots, part, length)
        if verdict != COMPLETES:
            return verdict, None
        if not has_room:
            lib.parts_give_up(self.c, slots, part)
            return verdict, None
        out = ffi.new("uint8_t[]", length[0])
        lib.parts_join(self.c, slots, part, out)
        return verdict, bytes(out)

    def passed(self, session, counter, sealed=True):
        lib.parts_passed(self.c, self.slots(session), counter, sealed)

    def forget(self, session):
        lib.parts_forget(self.c, self.slots(session))

    def end(self, session):
        """The session is freed as it is."""
        self.sessions.pop(session, None)

    def thrown(self):
        """(full, lost, open)."""
        return self.c.full, self.c.lost, self.c.open


def frame_of(length, seed=0):
    return random.Random(seed * 10_000 + length).randbytes(length)


def cut(frame, room):
    """C's [(head, bytes)], None: it does not go into eight."""
    plan = lib.parts_plan(len(frame), room)
    if plan.n == 0:
        return None
    made, source = ffi.new("struct parts_plan *", plan), ffi.new("uint8_t[]", frame)
    parts = []
    for i in range(plan.n):
        out = ffi.new("uint8_t[]", plan.size)
        lib.parts_cut(out, made, source, i)
        parts.append((lib.parts_head(made, i), bytes(out)))
    return parts


@given(st.integers(1, 9100), st.integers(1, 9100))
def test_a_frame_is_cut_into_the_fewest_parts_of_equal_length(length, room):
    frame = frame_of(length)
    parts = cut(frame, room)
    assert parts == model.cut(frame, room)
    if parts is None:
        assert length > 8 * room
        return
    sizes = {len(data) for _, data in parts}
    assert len(sizes) == 1 and sizes.pop() <= room and len(parts) == -(-length // room)
    fill = parts[-1][0] >> 4
    assert fill < len(parts) and len(parts) * len(parts[0][1]) - fill == length


def test_every_length_from_14_to_9026_comes_out_as_it_went_in():
    with Store(frame_max=9026) as store:
        counter = 0
        for length in range(14, 9027):
            frame = frame_of(length)
            parts = cut(frame, 1200) if length > 1200 else cut(frame, -(-length // 3))
            for head, data in parts:
                verdict, joined = store.take(0, counter, True, head, data)
                counter += 1
            assert verdict == COMPLETES and joined == frame
        assert store.thrown() == (0, 0, 0)


@pytest.mark.parametrize("n", range(2, 9))
def test_parts_come_in_any_order(n):
    frame = frame_of(n * 100 - n + 1)
    parts = list(enumerate(cut(frame, 100)))
    assert len(parts) == n
    rng = random.Random(n)
    with Store() as store:
        for turn in range(60):
            rng.shuffle(parts)
            results = [store.take(0, turn * 10 + i, True, *part) for i, part in parts]
            assert results == [(KEPT, None)] * (n - 1) + [(COMPLETES, frame)]


# ---- against the model ----

SESSIONS = st.integers(0, 3)
COUNTERS = st.one_of(st.integers(0, 12), st.integers(250, 280))
FILLS = st.sampled_from([0, 0, 0, 1, 2, 7])
HEADS = st.one_of(
    st.builds(
        lambda i, last, fill: i | last | fill << 4, st.integers(0, 7), st.just(0), st.just(0)
    ),
    st.builds(lambda i, last, fill: i | last | fill << 4, st.integers(0, 7), st.just(8), FILLS),
    st.integers(0, 255),
)
DATA = st.one_of(
    st.sampled_from([b"abcd", b"efgh", b"ijk\0", b"lm\0\0", b"n\0\0\0"]),
    st.sampled_from([b"opqrs", b"", b"t", bytes(8), b"x" * 20, b"y" * 60]),
)
PART = st.tuples(st.just("take"), SESSIONS, COUNTERS, st.booleans(), HEADS, DATA)
OTHER = st.one_of(
    st.tuples(st.just("passed"), SESSIONS, COUNTERS, st.booleans()),
    st.tuples(st.just("forget"), SESSIONS),
)


@settings(deadline=None)
@given(st.lists(st.one_of(PART, PART, PART, PART, OTHER), max_size=150), st.integers(1, 8))
def test_whatever_comes_the_store_does_as_lists_do(steps, places):
    dumb = model.Store(places, 64)
    with Store(places, 64) as store:
        for name, *args in steps:
            assert getattr(store, name)(*args) == getattr(dumb, name)(*args)
            assert store.thrown() == (dumb.full, dumb.lost, len(dumb.open))


class Sender:
    """An honest one: frames become messages (session, counter, sealed, head or None, bytes)."""

    def __init__(self, session):
        self.session = session
        self.counter = 0
        self.sent = {True: [], False: []}

    def send(self, length, sealed, seed):
        """Messages of one frame, in parts where it is long."""
        if length < 100:
            self.counter += 1
            return [(self.session, self.counter - 1, sealed, None, b"")]
        frame = frame_of(length, seed)
        self.sent[sealed].append(frame)
        first = self.counter
        parts = cut(frame, 90)
        self.counter += len(parts)
        return [(self.session, first + i, sealed, *part) for i, part in enumerate(parts)]


FRAMES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(60, 720), st.booleans()), min_size=1, max_size=60
)


@settings(deadline=None)
@given(FRAMES, st.integers(0, 1 << 32), st.sampled_from([0, 2, 12, 60]), st.booleans())
def test_what_loss_repetition_reordering_and_others_leave_is_whole_and_was_sent(
    frames, seed, jitter, is_lossy
):
    rng = random.Random(seed)
    senders = [Sender(i) for i in range(4)]
    way = [
        message
        for number, (i, length, sealed) in enumerate(frames)
        for message in senders[i].send(length, sealed, number)
    ]
    came = [m for m in way for _ in range(rng.choice([0, 1, 1, 1, 2]) if is_lossy else 1)]
    places = {id(m): n + rng.uniform(0, jitter) for n, m in enumerate(came)}
    came.sort(key=lambda m: places[id(m)])
    taken, got = set(), {(i, sealed): [] for i in range(4) for sealed in (True, False)}
    with Store(16, 720) as store:
        for session, counter, sealed, head, data in came:
            if sealed and (session, counter) in taken:
                continue  # the window
            taken.add((session, counter))
            if head is None:
                store.passed(session, counter, sealed)
                continue
            _, frame = store.take(session, counter, sealed, head, data)
            if frame is not None:
                got[session, sealed].append(frame)
        assert store.c.open <= 16
    for (session, sealed), joined in got.items():
        sent = senders[session].sent[sealed]
        assert all(frame in sent for frame in joined)
        if sealed:
            assert len(joined) == len(set(joined))
        if not is_lossy and jitter <= 2:  # at most a few frames are open at once
            assert sorted(joined) == sorted(sent)


# ---- each rule ----


def send(store, session, first, frame, room=100, sealed=True, only=None):
    """The parts of a frame, or some of them; what the last one brought."""
    result = None
    for i, part in enumerate(cut(frame, room)):
        if only is None or i in only:
            result = store.take(session, first + i, sealed, *part)
    return result


def test_a_counter_256_past_the_first_closes_a_frame_and_an_earlier_one_does_not():
    frame = frame_of(150)
    with Store() as store:
        for past, expected in ((255, COMPLETES), (256, KEPT)):
            send(store, past, 1000, frame, only=[0])
            store.passed(past, 1000 + past)
            verdict, _ = send(store, past, 1000, frame, only=[1])
            assert verdict == expected
        assert store.thrown() == (0, 1, 1)


def test_what_is_not_sealed_closes_nothing_that_is_and_joins_nothing_of_it():
    frame, other = frame_of(150), frame_of(150, 1)
    with Store() as store:
        send(store, 0, 10, frame, only=[0])
        assert send(store, 0, 10, other, sealed=False, only=[1]) == (KEPT, None)
        store.passed(0, 1 << 40, sealed=False)
        assert store.thrown() == (0, 1, 1)
        assert send(store, 0, 10, frame, only=[1]) == (COMPLETES, frame)
        send(store, 0, 10, other, sealed=False, only=[0])
        store.passed(0, 266)
        assert store.thrown() == (0, 2, 0)


def test_parts_of_two_sessions_are_not_joined():
    frame = frame_of(150)
    with Store() as store:
        send(store, 0, 10, frame, only=[0])
        assert send(store, 1, 10, frame, only=[1]) == (KEPT, None)
        assert store.thrown() == (0, 0, 2)


def test_a_session_has_four_open_frames_and_a_fifth_closes_its_oldest():
    frame = frame_of(150)
    with Store() as store:
        send(store, 1, 0, frame, only=[0])
        for first in range(0, 50, 10):
            send(store, 0, first, frame, only=[0])
        assert store.thrown() == (1, 0, 5)
        assert send(store, 0, 10, frame, only=[1]) == (COMPLETES, frame)
        assert send(store, 1, 0, frame, only=[1]) == (COMPLETES, frame)


def test_a_full_store_gives_up_its_oldest_frame():
    frame = frame_of(150)
    with Store(16) as store:
        for session in range(16):
            send(store, session, 0, frame, only=[0])
        assert store.thrown() == (0, 0, 16)
        send(store, 99, 0, frame, only=[0])
        assert store.thrown() == (1, 0, 16)
        assert send(store, 1, 0, frame, only=[1]) == (COMPLETES, frame)
        assert send(store, 0, 0, frame, only=[1]) == (KEPT, None)


def test_16_quiet_peers_with_four_open_frames_each_take_nothing_from_the_rest():
    frame = frame_of(1554)
    with Store(16) as store:
        for session in range(16):
            for first in range(0, 40, 10):
                send(store, session, first, frame, 800, only=[0])
        for first in range(0, 2000, 2):
            assert send(store, 99, first, frame, 800) == (COMPLETES, frame)
        assert store.c.open == 15 and store.c.full == 49


def test_a_session_that_is_freed_as_it_is_leaves_places_that_others_take():
    frame = frame_of(150)
    with Store(4) as store:
        for session in range(50):
            for first in range(0, 40, 10):
                send(store, session, first, frame, only=[0])
            store.end(session)
        assert store.c.open == 4
        assert send(store, 99, 0, frame) == (COMPLETES, frame)


def test_a_session_that_ends_takes_nothing_from_who_got_its_places():
    frame = frame_of(150)
    with Store(2) as store:
        for session in range(3):
            send(store, session, 0, frame, only=[0])
        store.forget(0)
        assert store.thrown() == (1, 0, 2)
        for session in (1, 2):
            assert send(store, session, 0, frame, only=[1]) == (COMPLETES, frame)


def test_a_session_that_ends_gives_its_places_back():
    frame = frame_of(150)
    with Store(16) as store:
        send(store, 0, 0, frame, only=[0])
        send(store, 1, 0, frame, only=[0])
        store.forget(0)
        assert store.thrown() == (0, 1, 1)
        lib.parts_shrink(store.c)
        assert send(store, 1, 0, frame, only=[1]) == (COMPLETES, frame)
        lib.parts_shrink(store.c)
        assert send(store, 1, 2, frame) == (COMPLETES, frame)


def test_a_frame_without_a_buffer_is_given_up_and_counted_but_for_the_part_that_came():
    parts = cut(frame_of(290), 100)
    with Store() as store:
        for i in (0, 1):
            store.take(0, i, True, *parts[i])
        assert store.take(0, 2, True, *parts[2], has_room=False) == (COMPLETES, None)
        assert store.thrown() == (0, 2, 0)


@pytest.mark.parametrize(
    "first, second",
    [
        ((0, 0, b"aaaa"), (1, 1 | 8, b"bbbbb")),  # another length
        ((3, 3 | 8, b"aaaa"), (4, 4, b"bbbb")),  # behind the last
        ((3, 3, b"aaaa"), (2, 2 | 8, b"bbbb")),  # the last before one that came
        ((2, 2 | 8, b"aaaa"), (3, 3 | 8, b"bbbb")),  # two last ones
    ],
)
def test_parts_that_contradict_each_other_close_their_frame(first, second):
    with Store() as store:
        for part, expected in ((first, KEPT), (second, BAD)):
            index, head, data = part
            assert store.take(0, 100 + index, True, head, data) == (expected, None)
        assert store.thrown() == (0, 1, 0)


@pytest.mark.parametrize(
    "counter, head, data",
    [
        (9, 0, b""),
        (9, 0x80, b"aaaa"),  # a bit that is zero
        (9, 1 << 4, b"aaaa"),  # zeros that are not in the last
        (9, 8, b"aaaa"),  # the only one
        (9, 7, b"aaaa"),  # the eighth, and not the last
        (2, 3, b"aaaa"),  # before counter 0
        (9, 1 | 8 | 2 << 4, b"aa\0\0"),  # more zeros than two parts need
        (9, 7 | 8 | 4 << 4, bytes(4)),  # nothing but zeros
        (9, 1 | 8 | 1 << 4, b"aaaa"),  # which are none
        (9, 1 | 8, b"a" * 33),  # 66 bytes
        (9, 0, b"a" * 64),  # and more to come
    ],
)
def test_a_part_that_contradicts_itself_is_refused_and_opens_nothing(counter, head, data):
    with Store(16, 64) as store:
        assert store.take(0, counter, True, head, data) == (BAD, None)
        assert store.thrown() == (0, 0, 0)
        assert not model.is_sound(counter, head, data, 64)


# ---- in place ----


def gather(messages, trailer=16, frame_max=1554, types=None):
    """(whether it was, the bytes that each message is left with); [(counter, kind, head, data)]."""
    run, lens = b"", [2 + len(m[3]) for m in messages]
    for i, (_, kind, head, data) in enumerate(messages):
        mark = types[i] if types else 4
        run += bytes([mark]).ljust(16, b"\0") + bytes([kind, head]) + data + b"\xee" * trailer
    held, left = ffi.new("uint8_t[]", run), ffi.new("uint32_t[]", len(messages))
    counters = ffi.new("uint64_t[]", [m[0] for m in messages])
    sizes = ffi.new("uint32_t[]", lens)
    done = lib.gather(held, len(messages), counters, sizes, trailer, frame_max, left)
    at, found = 0, []
    for i, length in enumerate(lens):
        found.append(bytes(held[at + 16 : at + 16 + left[i]]))
        at += 16 + length + trailer
    if not done:
        assert bytes(held)[: len(run)] == run
    return done, found


def messages_of(frame, room, first=7):
    return [(first + i, 1, *part) for i, part in enumerate(cut(frame, room))]


@given(st.integers(2, 1554), st.integers(1, 1000), st.sampled_from([0, 16]))
def test_a_run_of_parts_becomes_the_frame_where_it_stands(length, room, trailer):
    frame = frame_of(length)
    parts = cut(frame, room)
    if not parts or len(parts) == 1:
        return
    whole = (99, 0, 0, b"whole")
    done, found = gather([*messages_of(frame, room), whole], trailer)
    assert done and found[0][0] == 0 and found[0][2:] == frame
    assert found[1:] == [b""] * (len(parts) - 1) + [b"\0\0whole"]


def test_a_run_that_is_not_whole_or_no_run_is_left_as_it_is():
    run = messages_of(frame_of(250), 100)
    assert gather(run)[0]

    def changed(i, **fields):
        names = ("counter", "kind", "head", "data")
        new = [fields.get(n, v) for n, v in zip(names, run[i], strict=True)]
        return [*run[:i], tuple(new), *run[i + 1 :]]

    assert not gather(run[:2])[0] and not gather(run[1:])[0] and not gather(run[:1])[0]
    assert not gather([run[0], run[2], run[1]])[0]
    assert not gather(changed(1, counter=99))[0]
    assert not gather(changed(1, kind=0))[0] and not gather(changed(0, kind=2))[0]
    assert not gather(changed(2, head=2))[0]
    assert not gather(changed(2, head=2 | 8 | 3 << 4))[0]
    assert not gather(changed(1, data=run[1][3] + b"x"))[0]
    longer = run[2][3][:-2] + b"x" * 9  # sound, were it alone
    assert not gather(changed(2, head=2 | 8, data=longer))[0]
    assert not gather(run, frame_max=249)[0]
    assert gather(run, types=[5, 5, 5])[0] and not gather(run, types=[4, 6, 4])[0]
