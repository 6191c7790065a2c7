# SPDX-License-Identifier: MIT
"""Names: children that answer, hang, die or talk nonsense, and the loop that waits for none."""

import json
import sys

import pytest

from tunlite import endpoints, log
from tunlite.control import resolver
from tunlite.system import port

_CHILD = """
import json, os, sys, time
while line := os.read(0, 4096):
    host, number = line.decode().split()
    if host == "hangs":
        time.sleep(600)
    if host == "dies":
        os._exit(3)
    if host.startswith("says-"):
        os.write(1, bytes.fromhex(host[5:]) + b"\\n")
        continue
    if host == "nonsense":
        os.write(1, b"hello\\n")
        continue
    if host == "none":
        os.write(1, b"[]\\n")
        continue
    if host == "fails":
        os.write(1, b'"no such name"\\n')
        continue
    rows = [[4, f"c00002{n:02x}", int(number), 0] for n in range(1, 3)]
    text = json.dumps(rows) + "\\n"
    os.write(1, text[:10].encode())
    time.sleep(0.01)
    os.write(1, text[10:].encode())
"""


def both(number):
    """The first 24 bytes of the records that the child gives for "good"."""
    return [endpoints.record(4, bytes([192, 0, 2, n]), number)[:24] for n in (1, 2)]


class Loop:
    """What the daemon's loop offers, with a clock that the test can push."""

    def __init__(self):
        self.pushed_ms = 0
        self.watched = {}
        self.alarms = []

    def now(self):
        return port.now_ms() + self.pushed_ms

    def watch(self, fd, events, callback):
        self.watched[fd] = callback

    def unwatch(self, fd):
        self.watched.pop(fd, None)

    def at(self, when_ms, callback):
        self.alarms.append((when_ms, callback))

    def turn(self):
        due = [row for row in self.alarms if row[0] <= self.now()]
        self.alarms = [row for row in self.alarms if row[0] > self.now()]
        for _, callback in due:
            callback(self.now())
        rows = [(fd, port.POLLIN) for fd in self.watched]
        for fd, events in port.poll(rows, 5):
            if fd in self.watched:
                self.watched[fd](fd, events)

    def until(self, condition, timeout_ms=10000):
        deadline = port.now_ms() + timeout_ms
        while not condition():
            assert port.now_ms() < deadline, "nothing happened"
            self.turn()


@pytest.fixture
def made():
    loop = Loop()
    answers = []
    lines = []
    mine = resolver.Resolver(
        loop,
        answers.append,
        log.Log("t", log.INFO, loop.now, lines.append),
        [sys.executable, "-c", _CHILD],
    )
    mine.lines = lines
    yield loop, mine, answers
    mine.close()
    loop.until(lambda: not loop.watched, 5000)


def test_a_name_becomes_an_endpoint(made):
    loop, mine, answers = made
    mine.want("a", [("good", 51820)])
    assert mine.state("a") == "resolving"
    loop.until(lambda: answers)
    assert answers == ["a"] and mine.found(("good", 51820)) == both(51820)
    assert mine.state("a") == "resolved"


def test_no_child_stays_when_there_is_nothing_to_do(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1)])
    loop.until(lambda: answers)
    loop.until(lambda: not loop.watched)


def test_two_peers_of_one_name_ask_once_and_both_are_told(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1)])
    mine.want("b", [("good", 1)])
    loop.until(lambda: len(answers) == 2)
    assert set(answers) == {"a", "b"}
    mine.want("c", [("good", 1)])  # known already
    assert mine.state("c") == "resolved" and mine.found(("good", 1)) == both(1)


def test_a_name_that_hangs_holds_up_no_other(made):
    loop, mine, answers = made
    mine.want("h", [("hangs", 1)])
    for number in range(10):
        mine.want(number, [("good", 100 + number)])
    loop.until(lambda: len(answers) == 10)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("fails", "no such name"),
        ("none", "it has no address"),
        ("dies", "the resolver's process ended"),
        ("nonsense", " "),
    ],
)
def test_a_name_that_fails_is_tried_again_later_and_later(made, host, why):
    loop, mine, answers = made
    mine.want("a", [(host, 1)])
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        loop.until(lambda s=seconds: mine._names[(host, 1)].retry_ms == 1000 * s)
        loop.until(lambda: mine._names[(host, 1)].waiting)
        assert why in mine.state("a")
        loop.pushed_ms += 1000 * seconds
    assert not answers
    mine.want("b", [("good", 1)])
    loop.until(lambda: answers)


def test_a_resolver_that_does_not_answer_is_ended_after_its_time(made):
    loop, mine, answers = made
    mine.want("a", [("hangs", 1)])
    loop.until(lambda: mine._workers)
    loop.pushed_ms += resolver.PATIENCE_MS
    loop.until(lambda: "does not answer" in mine.state("a"))
    loop.until(lambda: not loop.watched)


def test_a_peer_with_several_names_is_told_of_each_and_drops_those_it_wants_no_more(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1), ("fails", 1), ("good", 2)])
    assert mine.state("a") == "resolving"
    loop.until(lambda: len(answers) == 2 and mine.state("a") != "resolving")
    assert answers == ["a", "a"] and "no such name" in mine.state("a")
    mine.want("a", [("good", 2)])
    assert mine.state("a") == "resolved" and list(mine._names) == [("good", 2)]


def test_a_name_is_not_asked_for_more_often_than_its_pause_allows(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1)])
    loop.until(lambda: answers)
    for _ in range(100):
        mine.again("a")
    for _ in range(20):
        loop.turn()
    assert len(answers) == 1


def test_a_forgotten_name_is_not_answered(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1)])
    mine.want("a", [])
    mine.want("b", [("good", 2)])
    loop.until(lambda: answers)
    assert answers == ["b"]
    assert mine.state("a") == ""


def test_a_program_that_cannot_be_started_is_a_failure_like_others():
    loop = Loop()
    mine = resolver.Resolver(loop, None, log.Log("t", -1), ["/nonexistent/program"])
    mine.want("a", [("good", 1)])
    loop.until(lambda: mine.state("a") not in ("resolving", ""))
    mine.close()


def test_the_child_answers_with_rows_or_a_reason():
    assert resolver.lookup("192.0.2.1", 7) == [[4, "c0000201", 7, 0]]
    assert resolver.lookup("::1", 7)[0][:3] == [6, "00" * 15 + "01", 7]
    failed = resolver.lookup("no-such-name.invalid", 7)
    assert isinstance(failed, str)
    assert json.dumps(failed)


def test_literal_endpoints_need_no_child():
    assert resolver.literal("192.0.2.1:7") == (4, bytes([192, 0, 2, 1]), 7, 0)
    assert resolver.literal("[fe80::1%lo]:7")[2:] == (7, 1)
    assert resolver.literal("[fe80::1%5]:7")[2:] == (7, 5)
    assert resolver.literal("example.org:7") is None


@pytest.mark.parametrize("scope", ["nosuch", "99999999999", "²", "longer-than-any-interface", "."])
def test_a_scope_that_is_no_interface_is_refused(scope):
    with pytest.raises(ValueError, match="no interface"):
        resolver.literal(f"[fe80::1%{scope}]:7")


@pytest.mark.parametrize(
    "answer",
    [
        b"5",
        b"{}",
        b"[5]",
        b"[[4]]",
        b'[[4, "c0000201", 5]]',
        b'[[4, "c000020", 5, 0]]',
        b'[[4, "c00002010000", 5, 0]]',
        b'[[6, "c0000201", 5, 0]]',
        b'[[7, "c0000201", 5, 0]]',
        b"[[4, 5, 5, 0]]",
        b'[[4, "c0000201", "5", 0]]',
        b'[[4, "c0000201", 65536, 0]]',
        b'[[4, "c0000201", 5, -1]]',
        b'[[4, "c0000201", 5, 4294967296]]',
        b'[[4, "c0000201", 5, 0.5]]',
        b'[[4, "c0000201", 5.5, 0]]',
        b"[" * 8000,
        b"\xff",
    ],
)
def test_a_child_that_was_taken_over_can_say_what_it_likes(made, answer):
    loop, mine, answers = made
    mine.want("a", [("says-" + answer.hex(), 1)])
    loop.until(lambda: mine.lines or answers)
    assert answers == [] and len(mine.lines) == 1
    assert mine._names[("says-" + answer.hex(), 1)].waiting  # and is asked again
    mine.want("a", [])


def test_a_name_that_a_peer_has_twice_is_one(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1), ("good", 1)])
    loop.until(lambda: answers)
    assert answers == ["a"]
    mine.want("a", [])
    assert not mine._names and mine.state("a") == ""


def test_a_name_with_very_many_addresses_has_no_more_than_a_peer_may_have_and_each_once(made):
    loop, mine, answers = made
    rows = [[4, f"c00002{n // 2:02x}", 7, 0] for n in range(60)]
    name = ("says-" + json.dumps(rows).encode().hex(), 7)
    mine.want("a", [name])
    loop.until(lambda: answers)
    assert len(mine.found(name)) == len(set(mine.found(name))) == 16


def test_a_child_that_speaks_unasked_is_ended(made):
    loop, mine, answers = made
    mine.want("a", [("good", 1)])
    loop.until(lambda: answers)
    worker = resolver._Worker([sys.executable, "-c", "print('[]', flush=True); input()"])
    mine._workers.append(worker)
    loop.watch(worker.source, port.POLLIN, lambda *_: mine._readable(worker))
    loop.until(lambda: not mine._workers)


def test_what_a_child_says_cannot_steer_the_terminal_or_fill_the_log(made):
    loop, mine, _ = made
    mine.want("a", [("says-" + json.dumps("\x1b[2J\n" + "x" * 9000).encode().hex(), 1)])
    loop.until(lambda: mine.lines)
    line = mine.lines[0].replace(mine._names[next(iter(mine._names))].host, "")
    assert "\x1b" not in line and "\n" not in line and len(line) < 200
    mine.want("a", [])
