# SPDX-License-Identifier: MIT
"""The runner of commands with real processes and shells, asked by commands.py alone."""

import base64
import fcntl
import os
import signal
import struct
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunlite import endpoints, log as logs
from tunlite.host import record, runner
from tunlite.system import port
from tunlite.uapi import client, commands

ENDPOINT = endpoints.record(4, bytes([192, 0, 2, 7]), 5182)
PRIVATE = base64.b64encode(bytes([64]) * 32).decode()


def key(number):
    return struct.pack("<I", number) + bytes(28)


def text_of(public):
    return base64.b64encode(public).decode()


class Daemon:
    """What commands.py needs of one; `runner` is a real one."""

    mtu = 1420
    admission = None

    def __init__(self, tmp_path, text):
        self.folder = tmp_path
        self.file = tmp_path / "t.conf"
        self.write(text)
        self.listeners, self.commands = [], None
        self.listen_port = 51820
        self.plane = SimpleNamespace(endpoint_of=lambda handle: ENDPOINT)
        self.errors = []
        self.callback = None
        log = logs.Log("t", write=self._note)
        self.runner = runner.Runner(("t", str(self.file), False), log, False, lambda: None)
        self.fd, self.alive = os.dup(self.runner.daemon_fd), os.dup(self.runner.alive_fd)
        self.runner.handed_over()
        self.commands = commands.Commands(self, self, self.fd, self)

    def _note(self, line):
        with (self.folder / "log").open("a") as file:
            file.write(line + "\n")

    def log(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def write(self, text):
        self.file.write_text(f"[Interface]\nPrivateKey = {PRIVATE}\n" + text)
        self.file.chmod(0o600)

    def begin(self):
        self.runner.begin(4711)
        return self

    # ---- the loop ----

    def watch(self, fd, events, callback):
        self.callback = callback

    def unwatch(self, fd):
        self.callback = None

    def now(self):
        return port.now_ms()

    def error(self, text):
        self.errors.append(text)

    def turn(self, seconds=0.05):
        if self.callback and port.poll([(self.fd, port.POLLIN)], int(seconds * 1000)):
            self.callback()

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.log(), self.seen())
            self.turn()

    def rest(self):
        self.until(self.rests)

    def rests(self):
        seen = self.seen()
        return seen and seen["running"] == seen["waiting"] == 0

    # ---- what happens ----

    def seen(self):
        return self.commands and self.commands.seen()

    def came(self, number, name=""):
        self.commands.established(self.peer(number, name))

    def left(self, number, reason="silent", name=""):
        self.commands.left(self.peer(number, name), reason)

    def peer(self, number, name):
        return SimpleNamespace(public=key(number), handle=0, description=name)

    def lines(self, name="out"):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def unread(self):
        """How much of what was sent the runner has not taken yet."""
        return struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(4)))[0]

    def processes(self):
        """Of the runner's session, but itself."""
        return [pid for pid in _pids() if _session(pid) == self.runner.pid != pid]

    def end(self):
        if self.alive is not None:
            os.close(self.alive)
            if self.commands:
                os.close(self.fd)
            self.alive = None
            self.runner.end()


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _session(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] == b"Z" else int(fields[3])
    except (OSError, IndexError):
        return None


@pytest.fixture
def daemon(tmp_path):
    made = []

    def make(text):
        made.append(Daemon(tmp_path, text.replace("OUT", str(tmp_path / "out"))))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_a_command_runs_for_each_that_came_and_each_that_left(daemon):
    d = daemon("OnEstablish = echo came $PEER_KEY >> OUT\nOnDisestablish = echo $REASON >> OUT\n")
    d.begin()
    d.came(1)
    d.rest()
    assert d.lines() == ["came " + text_of(key(1))]
    d.left(1, "link down")
    d.rest()
    assert d.lines()[1:] == ["link down"]


def test_what_happened_before_all_was_set_up_is_told_afterwards(daemon):
    d = daemon("OnEstablish = echo $PEER_KEY >> OUT\n")
    for number in range(9):
        d.came(number)
    d.turn(0.3)
    assert d.lines() == []
    d.begin()
    d.rest()
    assert sorted(d.lines()) == sorted(text_of(key(number)) for number in range(9))


def test_a_thousand_establish_at_once_and_each_command_ran_once_with_the_last_state(daemon):
    d = daemon(
        "OnEstablish = echo up $PEER_KEY >> OUT\nOnDisestablish = echo down $PEER_KEY >> OUT\n"
    )
    for number in range(1000):
        d.came(number)
    for number in range(300):  # left before a command ran for them: nothing is told
        d.left(number)
    for number in range(200):  # and came again
        d.came(number)
    d.begin()
    d.until(d.rests, 120)
    assert d.seen()["refused"] == 0
    wanted = [f"up {text_of(key(n))}" for n in range(1000) if n < 200 or n >= 300]
    assert sorted(d.lines()) == sorted(wanted)


def test_at_most_four_run_at_once_and_all_run(daemon):
    d = daemon("OnEstablish = echo + >> OUT; sleep 0.2; echo - >> OUT\n").begin()
    for number in range(12):
        d.came(number)
    d.rest()
    running = [0]
    for line in d.lines():
        running.append(running[-1] + (1 if line == "+" else -1))
    assert max(running) == 4 and len(running) == 25


def test_the_environment_is_made_anew_and_the_command_is_nowhere_to_be_read(daemon, monkeypatch):
    monkeypatch.setenv("SECRET", "inherited")
    d = daemon(
        "OnEstablish = env > OUT; tr '\\0' ' ' < /proc/self/cmdline > OUT.c;"
        " tr '\\0' '\\n' < /proc/$$/cmdline >> OUT.c; ls -l /proc/self/fd > OUT.f; : marked\n"
    ).begin()
    d.came(1)
    d.rest()
    rows = dict(line.split("=", 1) for line in d.lines())
    for name in ("PWD", "SHLVL", "_", "LC_ALL"):
        rows.pop(name, None)
    pid = {"TUNLITE_PID": "4711", "FASTD_PID": "4711"}
    assert rows.pop("PATH").startswith("/usr/local/sbin:")
    assert len(rows.pop("LOCAL_KEY")) == 44
    assert rows == {
        **{"LANG": "C", "INTERFACE": "t", "INTERFACE_MTU": "1420", **pid},
        **{"PEER_KEY": text_of(key(1)), "PEER_NAME": ""},
        **{"PEER_ADDRESS": "192.0.2.7", "PEER_PORT": "5182"},
        **{"BIND_ADDRESS": "any", "BIND_PORT": "51820", "LOCAL_PORT": "51820"},
    }
    assert "marked" not in "".join(d.lines("out.c")) and d.lines("out.c")
    opened = {line.split(" -> ")[0].split()[-1] for line in d.lines("out.f")[1:]}
    assert opened <= {"0", "1", "2", "3"}  # 3 is ls's own, of the folder
    assert not [line for line in d.lines("out.f") if "pipe:" in line and " 3 ->" in line]


NASTY = "a'b\"c`d$(touch EVIL)e\\f;g|h&i>EVIL\nj\rk\x1bl\x7fm\xe4n" + "x" * 200


def test_a_name_of_the_file_is_one_line_of_printable_ascii_and_nothing_evaluates_it(daemon):
    nasty = NASTY.replace("\n", "").replace("\r", "").replace("\x1b", "")
    nasty = nasty.replace("\x7f", "")[:120]
    d = daemon(
        "OnEstablish = printf '%s\\n' \"$PEER_NAME\" >> OUT\n"
        f"[Peer]\nPublicKey = {text_of(key(1))}\nDescription = {nasty}\n"
    ).begin()
    d.came(1, "another")
    d.rest()
    (line,) = d.lines()
    assert line == nasty.replace("\xe4", "__")[:128]
    assert not list(d.folder.glob("**/EVIL")) and not Path("EVIL").exists()


def test_a_name_from_outside_has_letters_digits_and_three_signs(daemon):
    d = daemon("OnEstablish = printf '%s\\n' \"$PEER_NAME\" >> OUT\n").begin()
    d.came(1, NASTY)
    d.came(2, "node-7_a.b")
    d.rest()
    names = sorted(d.lines())
    assert names[1] == "node-7_a.b"
    assert set(names[0]) <= set("abcdefghijklmntouchEVIL_x")
    assert names[0].startswith("a_b_c_d__touch_EVIL_e_f_g_h_i_EVIL_j_k_l_m__n")


def test_a_peer_of_the_folder_has_its_files_name_where_that_fits(daemon):
    d = daemon("OnEstablish = true\n")
    orders = runner.errands.Orders("t", str(d.file), False)
    orders.files = {text_of(key(1)): "node-7_a.b", text_of(key(2)): "a name $(touch EVIL)"}
    assert orders.name_of(key(1), b"told") == "node-7_a.b"
    assert orders.name_of(key(2), b"told") == "a_name___touch_EVIL_"
    assert orders.name_of(key(3), b"told by it") == "told_by_it"


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("OnEstablish", 10), ("OnDisestablish", 10), ("OnVerify", 10), ("HealthCommand", 5)],
)
def test_how_long_a_command_may_take_and_then_a_second_from_term_to_kill(
    monkeypatch, name, seconds
):
    errands, clock, signals = runner.errands, [1000], []
    monkeypatch.setattr(errands.port, "now_ms", lambda: clock[0])
    monkeypatch.setattr(errands.programs, "start", lambda *words: 99)
    monkeypatch.setattr(
        errands.programs, "signal_group", lambda pidfd, number: signals.append((clock[0], number))
    )
    monkeypatch.setattr(errands.hooks, "shell", lambda *words: [])
    asked = SimpleNamespace(
        kind=errands._NAMES.index(name), commands=["x"], environment=lambda *words: []
    )
    job = errands.Job(asked, SimpleNamespace(name="t", path="t"), 1)
    assert job.begin()
    for _ in range(1200):
        clock[0] += 10
        assert job.look([], clock[0])
        if len(signals) == 2:
            break
    if job.source >= 0:
        port.close(job.source)
    ended_ms = 1000 + 1000 * seconds
    assert signals == [(ended_ms, signal.SIGTERM), (ended_ms + 1000, signal.SIGKILL)]


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(daemon, monkeypatch):
    monkeypatch.setattr(runner.errands, "_PATIENCE_MS", (300,) * 4)
    d = daemon(
        "OnEstablish = (trap '' TERM; sleep 1000) & trap 'echo term >> OUT' TERM; sleep 1000 &"
        " wait; wait; echo late >> OUT; sleep 1000\n"
    ).begin()
    d.came(1)
    d.rest()
    assert "term" in d.lines()
    d.until(lambda: len(d.processes()) == 1)  # the child that reads the file
    assert "OnEstablish for " in d.log() and "takes too long" in d.log()
    d.left(1)
    d.rest()


def test_a_runner_whose_child_is_killed_tells_again_what_waits_and_what_ran(daemon):
    d = daemon("OnEstablish = echo begin >> OUT; sleep 0.7; echo $PEER_KEY >> OUT\n").begin()
    for number in range(6):
        d.came(number)
    d.until(lambda: d.lines().count("begin") == 4)
    (child,) = [pid for pid in d.processes() if _parent(pid) == d.runner.pid]
    os.kill(child, signal.SIGKILL)
    d.rest()
    told = [line for line in d.lines() if line != "begin"]
    assert sorted(told) == sorted(text_of(key(number)) for number in range(6))


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def test_a_reload_lets_what_runs_end_and_then_reads_the_file_again(daemon):
    d = daemon("OnEstablish = sleep 0.5; echo old >> OUT\n").begin()
    d.came(1)
    d.until(lambda: len(d.processes()) > 1)
    out = d.folder / "out"
    d.write(f"OnEstablish = echo new >> {out}\nOnDisestablish = echo gone >> {out}\n")
    first = d.commands._beginning
    os.kill(d.runner.pid, signal.SIGHUP)
    d.until(lambda: d.commands._beginning != first)
    assert d.lines() == ["old"]
    d.came(2)
    d.rest()
    assert d.lines() == ["old", "new"]
    d.left(1)
    d.left(2)
    d.rest()
    assert d.lines()[2:] == ["gone", "gone"]


def test_what_is_under_way_at_a_reload_is_no_nonsense_and_runs_afterwards(daemon):
    d = daemon("OnEstablish = echo begin >> OUT; sleep 0.5; echo $PEER_KEY >> OUT\n").begin()
    for number in range(6):
        d.came(number)
    d.until(lambda: d.lines().count("begin") == 4)
    os.kill(d.runner.pid, signal.SIGHUP)
    d.rest()
    told = [line for line in d.lines() if line != "begin"]
    assert sorted(told) == sorted(text_of(key(number)) for number in range(6))
    assert "does not send" not in d.log()


def test_a_broken_file_runs_nothing_until_it_is_mended(daemon):
    d = daemon("OnEstablish = echo old >> OUT\n").begin()
    d.came(1)
    d.rest()
    d.file.write_text("OnEstablish = echo bad")
    os.kill(d.runner.pid, signal.SIGHUP)
    d.until(lambda: "no command runs" in d.log())
    d.came(2)
    d.turn(0.2)
    d.write(f"OnEstablish = echo mended >> {d.folder / 'out'}\n")
    os.kill(d.runner.pid, signal.SIGHUP)
    d.rest()
    assert d.lines() == ["old", "mended"]


def test_a_file_that_is_not_roots_any_more_runs_nothing(daemon):
    d = daemon("OnEstablish = echo $PEER_KEY >> OUT\n").begin()
    d.came(1)
    d.rest()
    os.chown(d.file, 12345, -1)
    os.kill(d.runner.pid, signal.SIGHUP)
    d.until(lambda: "belongs to user 12345" in d.log())
    d.came(2)
    d.turn(0.3)
    assert len(d.lines()) == 1


@pytest.mark.parametrize("how", ["daemon", "runner", "both"])
def test_nothing_is_left_when_daemon_or_runner_ends(daemon, how):
    # Of any name, which is not to be trusted either.
    d = daemon(
        "OnEstablish = ln -s /bin/sleep \"$(printf 'OUT\\377')\"; \"$(printf 'OUT\\377')\" 1000 &"
        " trap '' TERM; sleep 1000\n"
    ).begin()
    d.came(1)
    d.until(lambda: len(d.processes()) > 3)
    if how == "runner":
        os.kill(d.runner.pid, signal.SIGKILL)
        d.until(lambda: d.commands is None)
        assert d.errors and not d.listeners
    else:
        if how == "both":
            (child,) = [pid for pid in d.processes() if _parent(pid) == d.runner.pid]
            os.kill(child, signal.SIGSTOP)
        d.end()
    end = time.monotonic() + 10
    while d.processes() and time.monotonic() < end:
        time.sleep(0.05)
    assert not d.processes()


def test_nonsense_of_a_daemon_that_was_taken_over_runs_nothing_and_ends_nobody(daemon, tmp_path):
    wait = "while test -e OUT.wait; do sleep 0.02; done"
    d = daemon(f"OnEstablish = {wait}; echo $PEER_KEY >> OUT\n").begin()
    d.came(1)
    d.rest()
    good = struct.pack(
        *(commands.RECORD, 0, 1, 1420, 1, 0, d.commands._beginning, 9, key(3), ENDPOINT, b"", b"")
    )
    for packet in (
        b"x",
        good[:-1],
        good + b"x",
        b"\x03" + good[1:],
        b"\xff" * len(good),
        b"\x01" + good[1:],  # OnVerify, of which the file says nothing
        b"\x02" + good[1:],
        good[:8] + b"beginning"[:4] + good[12:],
        os.urandom(len(good)),
    ):
        os.write(d.fd, packet)
    d.came(2)
    d.rest()
    assert d.lines() == [text_of(key(1)), text_of(key(2))]
    assert "sends what it does not send" in d.log()
    (tmp_path / "out.wait").touch()
    for _ in range(40):
        os.write(d.fd, good)
    d.until(lambda: not d.unread())
    (tmp_path / "out.wait").unlink()
    d.until(lambda: len(d.lines()) >= 6)
    while len(d.processes()) > 1:  # of 40 at once no more than four are taken
        d.turn()
    assert len(d.lines()) < 10
    d.came(4)
    d.until(lambda: text_of(key(4)) in d.lines())


VERIFY = "printf 'AllowedIPs = fd00::1/64, 10.0.0.0/8\\nDescription = %s\\n' $PEER_KEY"
PSK = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def verifying(daemon, monkeypatch):
    """The option's row is admission's; here the runner alone is asked."""

    def make(command, text=""):
        read = runner.errands.Orders.__init__

        def orders(self, *file):
            read(self, *file)
            self.commands[2] = [command] if isinstance(command, str) else command
            self.health = {"nodes": ["test $HEALTH_ADDRESS = fd00::1 -a $GROUP = nodes"]}

        monkeypatch.setattr(runner.errands.Orders, "__init__", orders)
        return daemon("OnEstablish = true\n" + text).begin()

    return make


def _asked(d, number=1):
    answers = []

    def done(pairs):
        answers.append(pairs and [(name, bytes(value)) for name, value in pairs])

    assert d.commands.verify(key(number), ENDPOINT, done)
    d.until(lambda: answers)
    return answers[0]


def test_a_command_that_takes_a_stranger_says_what_he_gets(verifying):
    d = verifying(VERIFY + f"; echo PresharedKey = {PSK}")
    assert _asked(d) == [
        ("preshared_key", bytes(range(32)).hex().encode()),
        ("replace_allowed_ips", b"true"),
        ("allowed_ip", b"fd00::/64"),
        ("allowed_ip", b"10.0.0.0/8"),
        ("description", text_of(key(1)).encode()),
    ]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("false", "failed with status 1"),
        ("echo Endpoint = 192.0.2.1:1", "line 1 is none of"),
        ("echo; echo [Interface]", "line 2 is none of"),
        (
            "echo MTU = 1500",
            "line 1 is none of AllowedIPs, PresharedKey, Description, Group, RateIn, RateOut,"
            " Lifetime, MACs\n",
        ),
        ("echo PublicKey = " + PSK, "line 1 is none of"),
        ("echo AllowedIPs = x", "AllowedIPs: "),
        ("echo MACs = x", "MACs: "),
        ("echo Group = others", "no [Group] has the Name"),
        ("head -c 5000 /dev/zero", "says more than 4096 bytes"),
        ("printf '\\377 = 1'", "line 1 is none of"),
        ("kill -9 $$", "was killed by signal 9"),
    ],
)
def test_another_answer_refuses_him_and_says_why(verifying, command, why):
    d = verifying(command)
    assert _asked(d) is None
    assert "OnVerify for " + text_of(key(1)) in d.log() and why in d.log()


def test_of_several_commands_all_must_take_him_and_their_answers_are_one(verifying):
    lines = ["echo AllowedIPs = 10.0.0.0/8; sleep 0.2 &", "echo Description = x"]
    assert [name for name, _ in _asked(verifying(lines))][-2:] == ["allowed_ip", "description"]
    d = verifying(["false", "touch OUT"])
    assert _asked(d) is None and not (d.folder / "out").exists()


def test_an_empty_answer_takes_him_with_nothing(verifying):
    assert _asked(verifying("true")) == []


def test_a_secret_of_an_answer_is_in_no_log(verifying):
    d = verifying(f"echo Wrong = {PSK}; echo {PSK}")
    assert _asked(d) is None
    assert PSK not in d.log()


def test_where_a_peer_is_comes_into_no_log_by_an_answer_or_a_file_when_it_is_to_be_hidden(
    verifying, monkeypatch
):
    monkeypatch.setattr(logs.Log, "hides", True)
    d = verifying("echo AllowedIPs = $PEER_ADDRESS:x")
    assert _asked(d) is None
    assert "answers what is not taken: (hidden)" in d.log()
    d.file.write_text("[Peer]\nEndpoint = 192.0.2.7:x\n")
    os.kill(d.runner.pid, signal.SIGHUP)
    d.until(lambda: "no command runs: tunlite check says why" in d.log())
    assert "192.0.2.7" not in d.log()


def test_64_questions_wait_and_the_rest_are_refused(verifying):
    d = verifying("sleep 0.05")
    answers = []
    d.until(lambda: d.commands._beginning)
    taken = [d.commands.verify(key(n), ENDPOINT, answers.append) for n in range(100)]
    assert taken == [True] * 68 + [False] * 32
    assert d.seen() == {"running": 4, "waiting": 64, "refused": 32}
    d.until(lambda: len(answers) == 68)
    assert answers == [[]] * 68


@pytest.mark.parametrize(("waited_ms", "fifth", "runs"), [(8500, [], 5), (10_000, None, 4)])
def test_a_question_that_waited_for_10_s_is_answered_by_no_and_runs_no_command(
    verifying, tmp_path, waited_ms, fifth, runs
):
    d = verifying(f"echo run >> {tmp_path}/out; sleep 0.3")
    answers = []
    d.until(lambda: d.commands._beginning)
    for number in range(5):
        assert d.commands.verify(key(number), ENDPOINT, answers.append)
    d.now = lambda: port.now_ms() + waited_ms
    d.until(lambda: len(answers) == 5)
    assert sorted(answers, key=str) == sorted([[]] * 4 + [fifth], key=str)
    d.rest()
    assert d.lines() == ["run"] * runs
    assert d.seen()["refused"] == 5 - runs


def test_what_the_file_does_not_name_is_answered_by_no(daemon):
    d = daemon("OnEstablish = true\n").begin()
    answers = []
    d.until(lambda: d.commands._beginning)
    assert not d.commands.verify(key(1), ENDPOINT, answers.append)
    d.commands._flags |= commands.VERIFIES  # as it was before a reload
    assert d.commands.verify(key(1), ENDPOINT, answers.append)
    assert d.commands.health("nodes", "fd00::1", answers.append)
    d.until(lambda: len(answers) == 2)
    assert sorted(answers, key=str) == [False, None]
    d.rest()


def test_health_is_told_by_the_status_of_the_groups_command(verifying):
    d = verifying("true", "[Group]\nName = nodes\n")
    answers = []
    assert d.commands.health("nodes", "fd00::1", answers.append)
    d.until(lambda: answers)
    assert d.commands.health("nodes", "fd00::2", answers.append)
    d.until(lambda: len(answers) == 2)
    assert answers == [True, False]


def test_who_is_asked_to_end_sleeps_while_a_command_still_runs(daemon, monkeypatch, tmp_path):
    looks = tmp_path / "looks"
    poll = port.poll

    def counted(rows, wait_ms):
        with looks.open("a") as file:
            file.write(".")
        return poll(rows, wait_ms)

    monkeypatch.setattr(runner.errands.port, "poll", counted)
    d = daemon("OnEstablish = touch OUT; sleep 0.5\n")
    d.begin()
    d.came(1)
    d.until((d.folder / "out").exists)
    first = d.commands._beginning
    os.kill(d.runner.pid, signal.SIGHUP)
    d.until(lambda: d.commands._beginning != first)
    assert looks.stat().st_size < 200


def test_a_daemon_that_holds_up_the_folder_holds_up_no_commands_end(daemon, monkeypatch, tmp_path):
    monkeypatch.setattr(runner.errands, "_PATIENCE_MS", (2000,) * 4)
    monkeypatch.setattr(client, "FOLDER", str(tmp_path))
    monkeypatch.setattr(record, "folder_path", lambda name: str(tmp_path / "kept"))
    (tmp_path / "peers.d").mkdir()
    socket = port.unix_listen(str(tmp_path / "t.sock"), 0o600, -1)

    def accept(answer=b""):
        assert port.poll([(socket, port.POLLIN)], 5000)
        fd = port.unix_accept(socket)
        assert port.poll([(fd, port.POLLIN)], 5000)
        port.os_read(fd, 4096)
        port.os_write(fd, answer)
        return fd

    d = daemon(f"Peers = {tmp_path}/peers.d\nOnEstablish = echo begin >> OUT; sleep 1000\n").begin()
    port.close(accept(b"errno=0\n\n"))
    (tmp_path / "peers.d" / ".new").touch()
    d.came(1)
    d.until(d.lines)
    silent = accept()
    try:
        d.until(lambda: "takes too long" in d.log(), 5)
    finally:
        port.close(silent)
        port.close(socket)
    d.rest()


def test_where_the_child_fails_what_it_began_is_ended(daemon, monkeypatch):
    reap = runner.errands.programs.reap

    def broken(pidfd):
        if not (d.folder / "failed").exists():
            (d.folder / "failed").touch()
            raise OSError(5, "broken")
        return reap(pidfd)

    monkeypatch.setattr(runner.errands.programs, "reap", broken)
    d = daemon("OnEstablish = echo $$ >> OUT; test $PEER_NAME = short || exec sleep 1000\n")
    d.begin()
    d.came(1, "long")
    d.until(lambda: len(d.lines()) == 1)
    d.came(2, "short")
    d.until(lambda: "the runner of commands: " in d.log())
    d.until(lambda: len(d.lines()) > 2)  # by the next one
    assert _session(int(d.lines()[0])) is None


def test_an_answer_that_nobody_can_be_asked_for_leaves_no_descriptor(monkeypatch):
    def full(*_):
        raise OSError(11, "no process")

    monkeypatch.setattr(runner.errands.programs, "start", full)
    orders = SimpleNamespace(name="t", path="/t.conf")
    record = SimpleNamespace(kind=2, commands=["true"], environment=lambda *_: [])
    before = os.listdir("/proc/self/fd")
    job = runner.errands.Job(record, orders, 1)
    assert not job.begin() and not job.good
    assert os.listdir("/proc/self/fd") == before
