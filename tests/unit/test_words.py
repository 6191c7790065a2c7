# SPDX-License-Identifier: MIT
"""The command line: words, help, exit statuses, keys."""

import base64
import errno
import os
import subprocess
import sys

import pytest

import tunlite
from tunlite.cli import commands, words as cli
from tunlite.config import files

SYNOPSIS = "[--wait SECONDS] [--json] --config FILE NAME"


def _run(*words, data=b"", **kwargs):
    argv = [sys.executable, "-m", "tunlite", *words]
    return subprocess.run(argv, input=data, capture_output=True, timeout=60, **kwargs)


def test_options_stand_anywhere_and_take_their_values():
    assert cli.read_words(SYNOPSIS, ["a", "--wait", "5", "--json", "b"]) == (
        {"--wait": "5", "--json": True},
        ["a", "b"],
    )
    assert cli.read_words(SYNOPSIS, ["--config=x=y", "-"]) == ({"--config": "x=y"}, ["-"])
    assert cli.read_words(SYNOPSIS, ["--", "--json"]) == ({}, ["--json"])


@pytest.mark.parametrize("words", [["--nope"], ["--json=1"], ["--wait"], ["-j"]])
def test_a_wrong_option_is_an_error(words):
    with pytest.raises(cli.UsageError):
        cli.read_words(SYNOPSIS, words)


def test_the_words_of_a_router_s_heap_are_taken_here_too():
    done = _run("--heap", "8M", "--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"tunlite {tunlite.__version__}\n")
    done = _run("--heap")
    assert done.returncode == 2 and b"--heap needs a value" in done.stderr


@pytest.mark.parametrize("word", ["--version", "-v", "version"])
def test_the_version_is_written(word):
    done = _run(word)
    assert (done.returncode, done.stdout.decode()) == (0, f"tunlite {tunlite.__version__}\n")


def test_help_lists_every_command_and_each_has_its_own():
    page = _run("--help").stdout.decode()
    for name, words, text, _ in cli.COMMANDS:
        assert f"  {name} {words}".rstrip() + "\n" in page
        assert text in page
        assert name in commands.FUNCTIONS
    done = _run("up", "--help")
    assert done.returncode == 0
    assert b"Usage: tunlite up NAME|FILE" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        *([], ["up"], ["up", "a", "b"], ["show", "--nope"], ["run"], ["a", "b"], ["setconf", "x"]),
        *(["setconf", "--wait", "²", "a", "b"], ["bench", "--seconds", "²"]),
    ],
)
def test_a_wrong_command_line_has_exit_status_2(words):
    done = _run(*words)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"tunlite: ") or done.stdout.startswith(b"tunlite: ")


@pytest.mark.parametrize(
    ("words", "told", "status"),
    [
        (["show", "nosuch0"], b"nosuch0 is not up", 1),
        (["down", "nosuch0"], b"was not brought up", 1),
        (["reload", "nosuch0"], b"nosuch0 is not up", 1),
        (["up", "nosuch0"], b"there is no nosuch0.conf", 78),
        (["up", "./nosuch0.conf"], b"there is no such file", 1),
        (["up", "a b"], b"no name for an interface", 78),
        (["café"], b"no name for an interface", 78),
        (["check", "/nonexistent"], b"there is no such file", 1),
        (["check", "/"], b"it is a folder", 1),
        (["check", "/dev/zero"], b"it is larger than 64 MB", 1),
        (["setconf", "nosuch0", "/nonexistent"], b"there is no such file", 1),
    ],
)
def test_what_fails_is_told_in_a_line_with_the_exit_status_of_its_kind(words, told, status):
    done = _run(*words)
    assert done.returncode == status
    assert told in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        *((["statsu"], "show"), (["status"], "show"), (["shwo"], "show"), (["Show"], "show")),
        *((["donw"], "down"), (["pu"], "up"), (["relaod"], "reload"), (["chekc"], "check")),
        *((["genky"], "genkey"), (["shw", "wg0"], "show"), (["stop", "-f"], "down")),
        *((["gen-key"], "genkey"), (["set-conf"], "setconf"), (["showconf"], "show")),
    ],
)
def test_a_mistyped_command_makes_no_daemon_and_is_told_what_was_meant(words, meant):
    done = _run(*words)
    assert done.returncode == 2
    assert f'"{words[0]}" is no command, did you mean {meant}?'.encode() in done.stderr


def _reached(monkeypatch, *words):
    """What the daemon would be started with, None where the words were refused."""
    monkeypatch.setattr(commands, "serve", lambda options, rest: (options, rest))
    try:
        return cli.dispatch(list(words))
    except cli.UsageError:
        return None


@pytest.mark.parametrize(
    "name",
    [
        *("wg0", "tun0", "down1", "show-1", "up0", "ups", "mesh", "mesh-vpn", "wg_mesh", "home"),
        *("office", "vpn", "client", "server", "peer", "eth", "lan", "tunlite", "wireguard"),
    ],
)
def test_names_of_interfaces_are_no_mistyped_commands(monkeypatch, name):
    assert _reached(monkeypatch, name) == ({}, [name])
    assert _reached(monkeypatch, "-f", name) == ({"-f": True}, [name])


def test_an_interface_whose_name_is_near_a_command_s_runs_where_it_is_surely_meant(
    monkeypatch, tmp_path
):
    assert _reached(monkeypatch, "shop") is None
    assert _reached(monkeypatch, "--", "shop") == ({}, ["shop"])
    assert _reached(monkeypatch, "-f", "shop") == ({"-f": True}, ["shop"])
    monkeypatch.setattr(files, "CONFIG_FOLDERS", (str(tmp_path),))
    assert _reached(monkeypatch, "shop") is None
    (tmp_path / "shop.conf").touch()
    assert _reached(monkeypatch, "shop") == ({}, ["shop"])
    (tmp_path / "shop.conf").unlink()
    monkeypatch.setenv("WG_QUICK_USERSPACE_IMPLEMENTATION", "tunlite")
    assert _reached(monkeypatch, "shop") == ({}, ["shop"])


@pytest.mark.parametrize("number", ["²", "-1", "x", "99999999999"])
def test_a_device_descriptor_that_is_no_number_is_told(number):
    done = _run("nosuch0", env={**os.environ, "WG_TUN_FD": number})
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    assert b"WG_TUN_FD is no number" in done.stderr


def test_keys_are_made_as_wg_makes_them():
    private = _run("genkey").stdout
    raw = base64.b64decode(private)
    assert len(private) == 45 and len(raw) == 32
    assert raw[0] & 7 == 0 and raw[31] >> 6 == 1
    public = _run("pubkey", data=private).stdout
    from nacl.bindings import crypto_scalarmult_base

    assert base64.b64decode(public) == crypto_scalarmult_base(raw)
    assert len({_run("genpsk").stdout for _ in range(3)}) == 3


def test_a_bad_private_key_is_told_without_being_shown():
    done = _run("pubkey", data=b"SECRETSECRET")
    assert done.returncode == 1
    assert b"44 characters" in done.stderr and b"SECRET" not in done.stderr


def test_a_key_written_to_a_file_for_all_is_warned_about(tmp_path):
    for mode, warned in ((0o644, True), (0o600, False)):
        path = tmp_path / f"{mode:o}"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, mode), "wb") as out:
            argv = [sys.executable, "-m", "tunlite", "genkey"]
            done = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE)
        path.chmod(mode)
        assert (b"umask 077" in done.stderr) == warned


@pytest.mark.parametrize("command", ["run --config", "up"])
def test_a_wrong_file_has_the_exit_status_that_says_never(tmp_path, command):
    (tmp_path / "bad0.conf").write_text("[Interface]\nMTU = many\n")
    done = _run(*command.split(), str(tmp_path / "bad0.conf"))
    assert done.returncode == 78 and b"MTU" in done.stderr


def test_check_tells_every_error_and_exits_with_1(tmp_path):
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text("[Interface]\nListenPort = 1\nEngine = basic\n")
    bad.write_text("[Interface]\nListenPort = x\nEngine = bsaic\nMTU = 1\n")
    assert _run("check", str(good)).returncode == 0
    done = _run("check", str(good), str(bad))
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"{bad}:2", "ListenPort"],
        [f"{bad}:3", "Engine"],
        [f"{bad}:4", "MTU"],
    ]


def test_check_reads_stdin():
    done = _run("check", "-", data=b"[Interface]\nMTU = many\n")
    assert done.returncode == 1 and done.stderr.startswith(b"stdin:2: MTU: ")
    assert _run("check", "-", data=b"[Interface]\nMTU = 1400\n").returncode == 0
    assert _run("check", "/dev/stdin", data=b"nonsense").returncode == 1


def test_check_lists_the_options_that_files_may_have():
    done = _run("check", "--keys")
    assert done.returncode == 0
    assert b"[Interface] PrivateKey (wg; default none): " in done.stdout


def test_output_that_nobody_reads_is_no_traceback():
    argv = f"{sys.executable} -m tunlite check --keys | true"
    done = subprocess.run(["sh", "-c", argv], capture_output=True)
    assert b"Traceback" not in done.stderr


def test_probe_names_an_engine_and_an_aead():
    import json

    found = json.loads(_run("probe", "--json").stdout)
    assert found["engine"] and found["aead"] and found["kernel"]
    page = _run("probe").stdout.decode()
    assert f"* {found['engine']}: " in page


@pytest.mark.parametrize(
    "opened, parent, refused",
    [(True, 77, None), (True, 78, commands.CommandError), (False, 77, commands.CommandError)],
)
def test_a_parents_pid_is_held_before_it_is_compared_so_that_it_is_no_other_process_s(
    monkeypatch, opened, parent, refused
):
    asked = []

    def pidfd_open(pid):
        asked.append(("pidfd_open", pid))
        if not opened:
            raise OSError(errno.ESRCH, "")
        return 5

    def getppid():
        asked.append(("getppid",))
        return parent

    monkeypatch.setattr(commands.port, "pidfd_open", pidfd_open)
    monkeypatch.setattr(commands.port, "getppid", getppid)
    if refused:
        with pytest.raises(refused, match="process 77 did not start us, or has ended"):
            commands._parent({"--parent": "77"}, True)
    else:
        assert commands._parent({"--parent": "77"}, True) == 5
    assert asked == [("pidfd_open", 77), ("getppid",)][: 1 + opened]
