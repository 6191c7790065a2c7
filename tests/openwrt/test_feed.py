# SPDX-License-Identifier: MIT
"""The feed's Makefile, run whole with stand-ins for what OpenWrt's tree includes, and this gcc."""

import subprocess
from pathlib import Path

import pytest

from devtools import toolchain
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
TARGET_CC=gcc
HOSTCC=gcc
TARGET_CFLAGS=-Os -pipe
TARGET_LDFLAGS=-s
PKG_JOBS=-j2
"""
_PACKAGE = """
define BuildPackage
all:
	$(call Build/Prepare)
	$(call Build/Compile)
	$(call Package/$(1)/install,$(TOPDIR)/root)
endef
"""


@pytest.mark.timeout(900)
def test_its_recipes_unpack_build_and_install_a_program_that_runs(tmp_path):
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
    command = ["nice", "make", "-C", str(_ROOT / "openwrt/tunlite"), f"TOPDIR={tmp_path}"]
    command.append(f"TUNLITE_SOURCE={_ROOT}")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    program = tmp_path / "root/usr/sbin/tunlite"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"tunlite {__version__}\n"
    assert (tmp_path / "root/etc/init.d/tunlite").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "root/lib/upgrade/keep.d/tunlite").is_file()
    assert "-Os -pipe" not in (tmp_path / "build/build/flags").read_text()  # native/ keeps -O2
