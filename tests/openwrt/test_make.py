# SPDX-License-Identifier: MIT
"""`./dev package` and `./dev feed`, and the page's sizes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.openwrt import apk, built, ipk, make, rows
from machine import toolchain

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dist(tmp_path, monkeypatch):
    """A dist of its own, with stand-ins for what a compiler makes."""
    monkeypatch.setattr(make, "DIST", tmp_path / "dist")
    monkeypatch.setattr(built, "parts", lambda row, arch: {p: arch.encode() for p in row.built})
    return tmp_path / "dist"


def test_a_package_for_all_machines_is_made_without_a_program(dist):
    for row in rows.PACKAGES:
        arch = "all" if row.is_for_all else "mipsel_74kc"
        assert make.package(row, "ipk", "mipsel_74kc").name == ipk.name(row, arch)


def test_a_name_of_ones_own_takes_the_executable_that_is_said(dist):
    out = make.package(rows.named("tunlite"), "ipk", "mips_odd", "mips")
    assert out.name.endswith("_mips_odd.ipk")


def test_opkg_gets_one_folder_and_apk_one_for_each_architecture(dist, tools):
    for row in rows.PACKAGES:
        for arch in ("mips_24kc", "aarch64_generic"):
            make.package(row, "ipk", arch)
            make.package(row, "apk", arch)
    make.feed()
    assert {path.name for path in (dist / "feed").glob("*.ipk")} == {
        ipk.name(row, arch)
        for row in rows.PACKAGES
        for arch in (["all"] if row.is_for_all else ["mips_24kc", "aarch64_generic"])
    }
    assert (dist / "feed/Packages").is_file()
    for arch in ("mips_24kc", "aarch64_generic"):
        index = (dist / "feed" / arch / apk.INDEX).read_text()
        assert {line.split()[0] for line in index.splitlines()} == {
            apk.name(row) for row in rows.PACKAGES
        }
    assert not (dist / "feed/noarch").exists()


def test_a_feed_made_anew_holds_nothing_of_before(dist):
    for arch in ("mips_24kc", "mipsel_24kc"):
        make.package(rows.named("tunlite"), "ipk", arch)
    assert make.feed() == 2
    (dist / ipk.name(rows.named("tunlite"), "mips_24kc")).unlink()
    assert make.feed() == 1
    (dist / ipk.name(rows.named("tunlite"), "mipsel_24kc")).unlink()
    with pytest.raises(rows.PackageError, match="./dev package"):
        make.feed()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--arch", "mips", "--format", "deb"], "--format deb is none of ipk, apk"),
        (["--arch", "vax"], "--arch vax is none of mips"),
        (["--arch", "arm_cortex-a9"], "--arch arm_cortex-a9 is not served: no division"),
        (["--as", "mipsel_74kc"], "say which with --arch"),
        (["--only", "luci"], "--only luci is none of tunlite"),
    ],
)
def test_words_that_make_no_package_are_told_before_anything_is_built(words, told):
    command = [sys.executable, "-m", "invoke", "package", *words]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert told in done.stderr and done.stderr.count("\n") == 1


def _sizes(page, unit):
    """{architecture: [executable, as xz, .ipk in bytes]} of a page's table of sizes."""
    text = (_ROOT / "docs" / page).read_text().split("\n## Sizes\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (\w+) \| ([\d,]+)(?: KB)? \| ([\d,]+)(?: KB)? \| ([\d,]+)", text, re.M)
    return {name: [unit * int(n.replace(",", "")) for n in numbers] for name, *numbers in found}


def test_the_pages_sizes_are_of_one_day_and_within_the_bounds():
    exact, rounded = _sizes("performance.md", 1), _sizes("openwrt.md", 1000)
    assert exact.keys() == rounded.keys() == toolchain.TARGETS.keys()
    for arch, target in toolchain.TARGETS.items():
        bounds = (target.executable, target.packed, target.ipk)
        for size, about, bound in zip(exact[arch], rounded[arch], bounds, strict=True):
            assert size <= bound and abs(about - size) <= 0.01 * size, arch
