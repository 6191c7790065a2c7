# SPDX-License-Identifier: MIT
"""The feeds' Makefiles, run with stand-ins for what OpenWrt's and Gluon's trees include."""

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
	mkdir -p $(TOPDIR)/root
	$(call Package/$(1)/install,$(TOPDIR)/root)
	for x in $$(strip $$(Package/$(1)/conffiles)); do \\
		[ -f $(TOPDIR)/root/$$$$x ] || echo $$$$x >>$(TOPDIR)/root/lib/upgrade/keep.d/$(1); \\
	done
endef
"""
# What Gluon's gluon.mk does with the folders of a package.
_GLUON = """
include $(INCLUDE_DIR)/package.mk
define Build/Compile
	mkdir -p $(PKG_BUILD_DIR)
	$(CP) ./src/. $(PKG_BUILD_DIR)/
	$(MAKE) -C $(PKG_BUILD_DIR) CC="$(TARGET_CC)" CFLAGS="$(TARGET_CFLAGS)" CPPFLAGS="$(CPPFLAGS)"
endef
define BuildPackageGluon
define Package/$(1)/install
	$(CP) ./files/. $$(1)/
	$(CP) ./luasrc/. $$(1)/
	$(INSTALL_DIR) $$(1)/usr/lib/respondd
	$(CP) $(PKG_BUILD_DIR)/respondd.so $$(1)/usr/lib/respondd/$(1).so
endef
$$(eval $$(call BuildPackage,$(1)))
endef
"""


@pytest.fixture
def openwrt_tree(tmp_path):
    """A folder with what the Makefiles include and download; Gluon's tree is around it."""
    tree = tmp_path / "openwrt"
    for folder in (tree / "include", tree / "dl", tmp_path / "package"):
        folder.mkdir(parents=True)
    (tree / "rules.mk").write_text(_RULES.format(tree))
    (tree / "include/package.mk").write_text(_PACKAGE)
    (tmp_path / "package/gluon.mk").write_text(_GLUON)
    for source, name in (
        (toolchain.MICROPYTHON, "micropython-1.25.0.tar.xz"),
        (toolchain.BEARSSL, "bearssl-0.6.tar.gz"),
    ):
        found = toolchain.tree(source)
        archive = ["tar", "-cf", str(tree / "dl" / name), "-C", str(found.parent), found.name]
        subprocess.run(archive, check=True)
    return tree


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
    folder = openwrt_tree / "build"
    assert asked[:2] == ["-C", f"{folder}/micropython"]
    words = dict(word.split("=", 1) for word in asked if "=" in word)
    assert (folder / "micropython/Makefile").is_file()
    assert Path(words["MICROPYTHON"], "py/py.mk").is_file()
    assert Path(words["BEARSSL"], "inc/bearssl.h").is_file()
    assert words["CC"] == "gcc" and words["LDFLAGS"] == "-s"
    assert words["CFLAGS"] == "-pipe"  # the makefile knows what is for speed: native/ keeps -O2
    _is_what_we_pack(openwrt_tree / "root", package, {"usr/sbin/tunlite": b"program\n"})


def test_the_recipes_of_luci_install_what_we_pack(openwrt_tree):
    package = rows.named("luci-proto-tunlite")
    _make(openwrt_tree, package, "all")
    _is_what_we_pack(openwrt_tree / "root", package, {})


def test_the_recipes_of_gluon_compile_the_module_and_install_what_we_pack(openwrt_tree):
    package = rows.named(rows.GLUON)
    _make(openwrt_tree, package, f"CPPFLAGS=-I{_ROOT}/lab/openwrt/gluon", "all")
    (path,) = package.built
    module = (openwrt_tree / "root" / path).read_bytes()
    _is_what_we_pack(openwrt_tree / "root", package, {path: module})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_program_that_the_recipes_build_runs(openwrt_tree):
    _make(openwrt_tree, rows.named("tunlite"), f"TUNLITE_SOURCE={_ROOT}", "all")
    program = openwrt_tree / "root/usr/sbin/tunlite"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"tunlite {__version__}\n"
    assert "-Os -pipe" not in (openwrt_tree / "build/build/flags").read_text()  # native/ keeps -O2
