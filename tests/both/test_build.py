# SPDX-License-Identifier: MIT
"""The build entry: the same bytes anywhere, somebody else's compiler, and what the file must be."""

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from devtools import cross
from machine import toolchain
from micropython import trim
from tests.both.test_both import runner

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 900


def _sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _run(arch, path, *arguments, **kwargs):
    command = [*runner(arch), str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture(scope="module")
def shipped():
    """dist/tunlite-x86_64, fresh."""
    return cross.build("x86_64")


def _command_elsewhere(folder, out, build):
    """What builds from a copy of the sources there."""
    for name in ("micropython", "native", "tunlite"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", ".*.recipe")
        shutil.copytree(_ROOT / name, folder / name, ignore=ignored)
    command = cross.make_command("x86_64", out, build, False)
    command[command.index(str(_ROOT / "micropython"))] = str(folder / "micropython")
    return command


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """(folder, executable, objects, command) of a copy of the sources, built there."""
    top = tmp_path_factory.mktemp("elsewhere")
    folder, out, build = top / "sources", top / "tunlite", top / "objects"
    command = _command_elsewhere(folder, out, build)
    subprocess.run(command, env=toolchain.environment(), check=True, capture_output=True)
    return folder, out, build, command


@pytest.mark.timeout(_LIMIT)
def test_a_build_in_another_folder_is_the_same_file(shipped, elsewhere):
    image = cross.finished(elsewhere[1].read_bytes())
    assert hashlib.sha256(image).hexdigest() == _sha256(shipped)


@pytest.mark.timeout(_LIMIT)
def test_what_is_built_again_has_other_numbers_of_names_everywhere(elsewhere, tmp_path):
    """A name that is said often comes before others: C knows all by their numbers too."""
    folder, out, build, command = elsewhere
    header = build / "numbered/genhdr/qstrdefs.generated.h"
    before = header.read_text()
    shutil.copy(out, tmp_path / "before")
    with open(folder / "tunlite" / "errors.py", "a", encoding="utf-8") as file:
        file.write("\n\ndef _often(one):\n" + "    one.ArithmeticError(one.AssertionError)\n" * 400)
    subprocess.run(command, env=toolchain.environment(), check=True, capture_output=True)
    assert header.read_text() != before
    for program in (tmp_path / "before", out):
        assert len(_run("x86_64", program, "genkey").stdout) == 45


@pytest.mark.timeout(_LIMIT)
def test_debians_mips_gcc_builds_it_by_the_same_makefile(tmp_path):
    micropython = toolchain.tree(toolchain.MICROPYTHON)
    out = tmp_path / "tunlite"
    command = [
        *("nice", "make", "-C", str(_ROOT / "micropython"), "-j2"),
        f"MICROPYTHON={micropython}",
        f"BEARSSL={toolchain.tree(toolchain.BEARSSL)}",
        f"MPY_CROSS={toolchain.mpy_cross(micropython)}",
        *("CC=mips-linux-gnu-gcc", "LDFLAGS=-s", f"BUILD={tmp_path / 'objects'}", f"OUT={out}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "warning:" not in done.stderr
    emulated = ["qemu-mips-static", "-cpu", "24Kf", "-L", "/usr/mips-linux-gnu", str(out)]
    key = subprocess.run([*emulated, "genkey"], capture_output=True, text=True, check=True).stdout
    assert len(key) == 45
    assert _run("x86_64", *([cross.build("x86_64"), "pubkey"]), input=key).stdout == (
        subprocess.run(
            [*emulated, "pubkey"], input=key, capture_output=True, text=True, check=True
        ).stdout
    )


def test_the_executable_needs_no_library_and_has_no_sections(shipped):
    image = shipped.read_bytes()
    assert trim.trimmed(image) == image
    segments = subprocess.run(
        ["readelf", "--program-headers", "--wide", str(shipped)], capture_output=True, text=True
    ).stdout
    assert "INTERP" not in segments and "LOAD" in segments


def _mappings(program):
    """(begin, end, rights) of what a running one has of its file, and what the file asks for."""
    process = subprocess.Popen([str(program), "pubkey"], stdin=subprocess.PIPE)
    maps = Path(f"/proc/{process.pid}/maps")
    try:
        deadline = time.monotonic() + 10
        while not _waits(process.pid):
            assert time.monotonic() < deadline
        text = maps.read_text()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
    rows = [line.split() for line in text.splitlines() if line.endswith(f"/{program.name}")]
    return [(*(int(end, 16) for end in row[0].split("-")), row[1]) for row in rows]


def _waits(pid):
    return Path(f"/proc/{pid}/syscall").read_text().startswith("0 ")  # read(2)


def test_a_gateways_executable_lies_elsewhere_each_time_and_its_tables_are_read_only(shipped):
    first, second = _mappings(shipped), _mappings(shipped)
    assert first[0][0] != second[0][0]
    shown = subprocess.run(["readelf", "-lW", str(shipped)], capture_output=True, text=True).stdout
    row = next(line.split() for line in shown.splitlines() if "GNU_RELRO" in line)
    begin = first[0][0] + int(row[2], 16)
    end = begin + int(row[5], 16)
    covering = [rights for start, stop, rights in first if start < end and stop > begin]
    assert covering and set(covering) == {"r--p"}
    assert not [rights for _, _, rights in first if "w" in rights and "x" in rights]


@pytest.mark.timeout(_LIMIT)
def test_the_stack_of_what_reads_from_outside_is_protected_on_gateways(shipped):
    objects = _ROOT / "build/cross/x86_64"
    for name in ("modos", "native/outside/socket", "native/border/spawn"):
        names = subprocess.run(["nm", str(objects / f"{name}.o")], capture_output=True, text=True)
        assert "__stack_chk_fail" in names.stdout, name


@pytest.mark.timeout(_LIMIT)
@pytest.mark.parametrize("arch", ["arm", "mipsel", "aarch64", "x86_64"])
def test_what_is_shipped_holds_on_to_what_it_uses_while_memory_is_collected(arch, tmp_path):
    """What is in registers alone is in use too; the one for ARM lost it."""
    peers = (
        f"[Peer]\nPublicKey = {base64.b64encode(bytes([number, 1] * 16)).decode()}\n"
        f"Endpoint = 192.0.2.{number}:51820\nAllowedIPs = 10.0.{number}.0/24, fd00:{number}::/64\n"
        for number in range(100)
    )
    path = tmp_path / "wg0.conf"
    key = base64.b64encode(bytes(32)).decode()
    path.write_text(f"[Interface]\nPrivateKey = {key}\n{''.join(peers)}")
    path.chmod(0o600)
    for heap in ("512K", "2M"):
        done = _run(arch, cross.build(arch), "--heap", heap, "check", str(path))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_an_executable_can_be_trimmed():
    with pytest.raises(ValueError, match="ELF"):
        trim.trimmed(b"#!/bin/sh\n")


def test_it_says_its_version(shipped):
    from tunlite import __version__

    assert _run("x86_64", shipped, "--version").stdout == f"tunlite {__version__}\n"


def test_the_benchs_cipher_that_does_nothing_is_not_in_it(shipped):
    found = json.loads(_run("x86_64", shipped, "probe", "--json").stdout)
    aeads = [row["name"] for row in found["features"] if row["kind"] == "aead"]
    assert "portable" in aeads and "null" not in aeads


def test_an_exit_status_and_an_error_reach_the_shell(shipped):
    done = _run("x86_64", shipped, "no-such-command", "x")
    assert done.returncode not in (0, 255)
    assert done.stderr.startswith("tunlite: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("size", ["256K", "2M", "1048576"])
def test_the_heap_is_as_large_as_asked(shipped, size):
    assert _run("x86_64", shipped, "--heap", size, "--version").returncode == 0


@pytest.mark.parametrize("size", ["255K", "65M", "0", "-1", "1G", "x", ""])
def test_a_heap_out_of_bounds_is_refused_with_the_bounds(shipped, size):
    done = _run("x86_64", shipped, "--heap", size, "--version")
    assert done.returncode == 2
    assert "--heap takes 256K to 64M" in done.stderr


def test_the_executables_that_ship_run_no_scripts(shipped, tmp_path):
    (tmp_path / "script.py").write_text("print('ran')\n")
    done = _run("x86_64", shipped, "--script", str(tmp_path / "script.py"))
    assert "ran" not in done.stdout and done.returncode != 0


def test_local_trees_are_taken_and_wrong_ones_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BEARSSL", str(tmp_path))
    with pytest.raises(toolchain.ToolchainError, match="inc/bearssl.h"):
        toolchain.tree(toolchain.BEARSSL)
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc/bearssl.h").touch()
    assert toolchain.tree(toolchain.BEARSSL) == tmp_path
    monkeypatch.chdir(tmp_path.parent)  # make changes its folder
    monkeypatch.setenv("BEARSSL", tmp_path.name)
    assert toolchain.tree(toolchain.BEARSSL) == tmp_path


def test_a_cold_cache_without_network_says_what_to_fetch(tmp_path, monkeypatch):
    def fail(*_):
        raise toolchain.debs.DebsError("apt-get source: no network")

    monkeypatch.setattr(toolchain, "CACHE", tmp_path)
    monkeypatch.setattr(toolchain.debs.Apt, "fetch_source", fail)
    with pytest.raises(
        toolchain.ToolchainError, match="source package `micropython`.*MICROPYTHON="
    ):
        toolchain.tree(toolchain.MICROPYTHON)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(toolchain.ToolchainError, match="ziglang==0.17.0"):
        toolchain.zig()
    with pytest.raises(toolchain.ToolchainError) as all_at_once:
        cross.make_command("mips", tmp_path / "out", tmp_path, False)
    for missing in ("ziglang==0.17.0", "`micropython`", "`bearssl`"):
        assert missing in str(all_at_once.value)


def test_a_wheel_of_zig_that_was_copied_there_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "CACHE", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with zipfile.ZipFile(downloads / "ziglang-0.17.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("ziglang/zig", "#!/bin/sh\necho zig\n")
    sha256 = _sha256(downloads / "ziglang-0.17.0-py3-none-any.whl")
    monkeypatch.setattr(toolchain, "ZIG_SHA256", {platform.machine(): sha256})
    assert subprocess.run([toolchain.zig()], capture_output=True).stdout == b"zig\n"
    assert not list(downloads.iterdir())


def test_a_source_with_another_hash_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "micropython_1.25.0.orig.tar.xz"
    other.write_bytes(b"something else")
    monkeypatch.setattr(toolchain, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(toolchain.debs.Apt, "fetch_source", lambda *_: [other])
    monkeypatch.delenv("MICROPYTHON", raising=False)
    with pytest.raises(toolchain.ToolchainError, match="SHA-256") as refusal:
        toolchain.tree(toolchain.MICROPYTHON)
    assert f"remove {tmp_path}" in str(refusal.value)
    assert "set MICROPYTHON= to its folder" in str(refusal.value)


def test_an_executable_past_its_bound_is_told(tmp_path, capsys):
    path = tmp_path / "tunlite-mips"
    path.write_bytes(os.urandom(300_000))
    assert not cross.report("mips", path)
    assert "TOO BIG" in capsys.readouterr().out
    path.write_bytes(bytes(300_000))
    assert cross.report("mips", path)


def test_the_usual_heap_grows_past_4_mb_before_it_says_no(shipped, tmp_path):
    prefixes = ", ".join(f"10.{i >> 8 & 255}.{i & 255}.{i >> 16}/32" for i in range(60_000))
    path = tmp_path / "wide.conf"
    key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
    path.write_text(f"[Interface]\n[Peer]\nPublicKey = {key}\nAllowedIPs = {prefixes}\n")
    assert _run("x86_64", shipped, "check", str(path)).returncode == 0
    done = _run("x86_64", shipped, "--heap", "4M", "check", str(path))
    assert done.returncode == 1
    assert "its heap of 4096 KB is full" in done.stderr


def test_a_full_heap_is_told_with_the_way_out(shipped, tmp_path):
    peer = "[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
    path = tmp_path / "wide.conf"
    path.write_text("[Interface]\n" + peer * 3000)
    done = _run("x86_64", shipped, "--heap", "256K", "check", str(path))
    assert done.returncode == 1
    assert "its heap of 256 KB is full; start it with more: tunlite --heap 512K" in done.stderr
    assert "Traceback" not in done.stderr
    done = _run("x86_64", shipped, "--heap", "33M", "check", "/dev/zero")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "start it with more: tunlite --heap 65536K" in done.stderr  # the largest there is


_KEYLESS = "[Interface]\nListenPort = 1\n"
_PEER = "[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
_FILES = {
    "good": _KEYLESS + _PEER,
    "empty": "",
    "latin1": _KEYLESS.encode() + b"# caf\xe9\nUs\xe9r = x\nUser = \xe9\nDNS = \xe9\n",
    "zeros": bytes(100_000),
    "random": bytes(i * i * 7 % 251 for i in range(100_000)),
    "cr": (_KEYLESS + _PEER).replace("\n", "\r"),
    "crlf": (_KEYLESS + _PEER).replace("\n", "\r\n"),
    "mark": b"\xef\xbb\xbf" + _KEYLESS.encode(),
    "sections": "[\n]\n[]\n[Interface\n[interface]\n= 3\nx\n[Interface][Peer]\n",
    "numbers": "[Interface]\nListenPort = -1\nMTU = 1e3\nFwMark = 0x\nTable = \xb2\nMemory = 9M9\n",
    "addresses": "[Interface]\nAddress = 1.2.3, ::1/129, /, fe80::1%lo/64, 01.2.3.4\n",
    "ends": "[Peer]\nEndpoint = a\nEndpoint = [::1\nEndpoint = :1\nEndpoint = [::g]:1\n",
    "mistakes": "[Interface]\n" + "Foo = 1\n" * 500,
}
_WORDS = [
    *("", "help", "--version", "--heap", "-x", "--", "- x", "foo bar", "caf\xe9"),
    *("\xb2", "a/b", "show --nope", "show --json=1", "show nosuch0", "show ../x", "show a b"),
    *("show caf\xe9", "run", "run x", "run --config", "run --config nosuch.conf"),
    *("run --config good.conf x", "run --config good.conf --interface a/b", "run --config .", "up"),
    *("up nosuch0", "up ./x.conf", "up /", "up a b", "down", "down nosuch0", "down /"),
    *("reload nosuch0", "reload a b", "setconf", "setconf a", "setconf --wait"),
    *("setconf --wait \xb2 a b", "setconf --wait -1 a b", "setconf nosuch0 good.conf"),
    *("setconf nosuch0 zeros.conf", "setconf --wait=0 nosuch0 -", "addconf nosuch0 nosuch.conf"),
    *("syncconf nosuch0 /dev/null", "check", "check -", "check ."),
    *("check /proc/self/cmdline /dev/null", "check loop.conf", "genkey x", "genkey --x"),
    *("genpsk x", "pubkey", "pubkey x", "probe x", "probe --jsonx", "bench x"),
    *("bench --seconds \xb2", "bench --seconds 0", "bench --seconds 1000", "bench --seconds"),
    *("foo --help", "check --keys"),
]


def test_odd_words_and_files_are_told_alike_by_both_interpreters(shipped, tmp_path):
    for name, content in _FILES.items():
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{name}.conf").write_bytes(data)
    lines = [line.split() for line in _WORDS] + [["check", f"{name}.conf"] for name in _FILES]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    for words in lines:
        said = []
        for program in ([sys.executable, "-m", "tunlite"], [str(shipped)]):
            done = subprocess.run(
                [*program, *words],
                **{"cwd": tmp_path, "env": environment, "input": b"x\n"},
                capture_output=True,
                timeout=60,
            )
            said.append((done.returncode, done.stdout, done.stderr))
        assert said[0] == said[1], words
        assert said[0][0] in (0, 1, 2, 78) and b"Traceback" not in said[0][2], said


def test_words_that_are_not_utf8_are_refused(shipped):
    done = subprocess.run([shipped, "check", b"\xff"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"not UTF-8" in done.stderr
