# SPDX-License-Identifier: MIT
"""The build entry: the same bytes anywhere, somebody else's compiler, and what the file must be."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from devtools import tasks_cross, toolchain
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
    return tasks_cross.build("x86_64")


@pytest.mark.timeout(_LIMIT)
def test_a_build_in_another_folder_is_the_same_file(shipped, tmp_path):
    for name in ("micropython", "native", "tunlite"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", ".*.recipe")
        shutil.copytree(_ROOT / name, tmp_path / "elsewhere" / name, ignore=ignored)
    out = tmp_path / "tunlite"
    command = tasks_cross.make_command("x86_64", out, tmp_path / "objects", False)
    command[command.index(str(_ROOT / "micropython"))] = str(tmp_path / "elsewhere/micropython")
    subprocess.run(command, env=toolchain.environment(), check=True, capture_output=True)
    trim.main([str(out)])
    assert _sha256(out) == _sha256(shipped)


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
    assert _run("x86_64", *([tasks_cross.build("x86_64"), "pubkey"]), input=key).stdout == (
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


def test_a_source_with_another_hash_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "micropython_1.25.0.orig.tar.xz"
    other.write_bytes(b"something else")
    monkeypatch.setattr(toolchain, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(toolchain.debs.Apt, "fetch_source", lambda *_: [other])
    monkeypatch.delenv("MICROPYTHON", raising=False)
    with pytest.raises(toolchain.ToolchainError, match="SHA-256"):
        toolchain.tree(toolchain.MICROPYTHON)


def test_an_executable_past_its_bound_is_told(tmp_path, capsys):
    path = tmp_path / "tunlite-mips"
    path.write_bytes(os.urandom(300_000))
    assert not tasks_cross.report("mips", path)
    assert "TOO BIG" in capsys.readouterr().out
    path.write_bytes(bytes(300_000))
    assert tasks_cross.report("mips", path)


def test_a_full_heap_is_told_with_the_way_out(shipped, tmp_path):
    peer = "[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
    path = tmp_path / "wide.conf"
    path.write_text("[Interface]\n" + peer * 3000)
    done = _run("x86_64", shipped, "--heap", "256K", "check", str(path))
    assert done.returncode == 1
    assert "its heap of 256 KB is full; start it with more: tunlite --heap 512K" in done.stderr
    assert "Traceback" not in done.stderr
