# SPDX-License-Identifier: MIT
"""The feed's Makefile, run whole with stand-ins for what OpenWrt's tree includes, and this gcc."""

import re
import subprocess
from pathlib import Path

import pytest

from devtools.openwrt import rows
from machine import toolchain
from tunlite import __version__

_ROOT = Path(__file__).resolve().parents[2]
_RULES = """
SHELL:=/bin/bash
INCLUDE_DIR={0}/include
DL_DIR={0}/dl
PKG_BUILD_DIR={0}/build
TAR=tar
CP=cp -a
INSTALL_DIR=install -d -m0755
INSTALL_BIN=install -m0755
INSTALL_DATA=install -m0644
INSTALL_CONF=install -m0600
SED=sed -i -e
TARGET_CC=gcc
HOSTCC=gcc
TARGET_CFLAGS=-Os -pipe
TARGET_LDFLAGS=-s
PKG_JOBS=-j2
"""
_PACKAGE = """
define Build/Prepare/Default
	tar -C $(dir $(PKG_BUILD_DIR)) -xzf $(DL_DIR)/$(PKG_SOURCE)
endef
define BuildPackage
prepare:
	$(call Build/Prepare)
all:
	$(call Build/Prepare)
	$(call Build/Compile)
	$(call Package/$(1)/install,$(TOPDIR)/root)
	for x in $$(strip $$(Package/$(1)/conffiles)); do \\
		[ -f $(TOPDIR)/root/$$$$x ] || echo $$$$x >>$(TOPDIR)/root/lib/upgrade/keep.d/$(1); \\
	done
endef
"""


@pytest.fixture
def openwrt_tree(tmp_path):
    """A folder with what the Makefile includes and downloads."""
    (tmp_path / "include").mkdir()
    (tmp_path / "dl").mkdir()
    (tmp_path / "rules.mk").write_text(_RULES.format(tmp_path))
    (tmp_path / "include/package.mk").write_text(_PACKAGE)
    for source, name in (
        (toolchain.MICROPYTHON, "micropython-1.25.0.tar.xz"),
        (toolchain.BEARSSL, "bearssl-0.6.tar.gz"),
    ):
        tree = toolchain.tree(source)
        archive = ["tar", "-cf", str(tmp_path / "dl" / name), "-C", str(tree.parent), tree.name]
        subprocess.run(archive, check=True)
    return tmp_path


def _make(tree, package, *words):
    command = ["nice", "make", "-C", str(package.folder), f"TOPDIR={tree}", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_release_made_as_the_makefile_says_unpacks_to_what_the_build_wants(openwrt_tree):
    text = (_ROOT / "openwrt/tunlite/Makefile").read_text()
    words = re.search("`(git archive .*)`", text)[1].replace("-o ", f"-o {openwrt_tree}/dl/")
    subprocess.run(words.split(), cwd=_ROOT, check=True)
    folder = openwrt_tree / f"tunlite-{__version__}"
    _make(openwrt_tree, rows.named("tunlite"), f"PKG_BUILD_DIR={folder}", "prepare")
    for path in ("micropython/Makefile", "native/border/plane.c", "tunlite/__init__.py", "LICENSE"):
        assert (folder / path).is_file()
    for path in ("micropython-source/py/py.mk", "bearssl-source/inc/bearssl.h"):
        assert (folder / path).is_file()


# In the build entry's place: what it was asked for, and a program that is none.
_BUILDS = """#!/bin/sh
printf '%s\\n' "$@" >{0}/asked
for word in "$@"; do
	case $word in OUT=*) echo program >"${{word#OUT=}}" ;; esac
done
"""


def _is_what_we_pack(root, package, built):
    """Whether a Makefile's recipes installed what we pack; the program may be another."""
    tree = rows.content(package, built)
    keep = f"lib/upgrade/keep.d/{package.name}"
    if keep in tree.files:
        kept = sorted((root / keep).read_text().splitlines())
        assert kept == sorted(tree.files.pop(keep)[0].decode().splitlines())  # no line twice
        (root / keep).unlink()
    found = {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in root.rglob("*")
        if path.is_file()
    }
    assert found == tree.files
    for path, mode in package.folders.items():
        assert (root / path).stat().st_mode & 0o777 == mode


def test_the_recipes_of_tunlite_ask_the_build_entry_for_a_program_and_install_what_we_pack(
    openwrt_tree, tmp_path
):
    package, builds = rows.named("tunlite"), tmp_path / "builds"
    builds.write_text(_BUILDS.format(tmp_path))
    builds.chmod(0o755)
    _make(openwrt_tree, package, f"TUNLITE_SOURCE={_ROOT}", f"MAKE={builds}", "all")
    asked = (tmp_path / "asked").read_text().splitlines()
    folder = tmp_path / "build"
    assert asked[:2] == ["-C", f"{folder}/micropython"]
    words = dict(word.split("=", 1) for word in asked if "=" in word)
    assert (folder / "micropython/Makefile").is_file()
    assert Path(words["MICROPYTHON"], "py/py.mk").is_file()
    assert Path(words["BEARSSL"], "inc/bearssl.h").is_file()
    assert words["CC"] == "gcc" and words["LDFLAGS"] == "-s"
    assert words["CFLAGS"] == "-pipe"  # the makefile knows what is for speed: native/ keeps -O2
    _is_what_we_pack(tmp_path / "root", package, {"usr/sbin/tunlite": b"program\n"})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_program_that_the_recipes_build_runs(openwrt_tree, tmp_path):
    _make(openwrt_tree, rows.named("tunlite"), f"TUNLITE_SOURCE={_ROOT}", "all")
    program = tmp_path / "root/usr/sbin/tunlite"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"tunlite {__version__}\n"
    assert "-Os -pipe" not in (tmp_path / "build/build/flags").read_text()  # native/ keeps -O2
