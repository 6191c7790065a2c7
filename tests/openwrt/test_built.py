# SPDX-License-Identifier: MIT
"""The module of Gluon's respondd as it is built for routers."""

import re
import subprocess

import pytest

from devtools.openwrt import built, rows
from machine import toolchain

_ROW = rows.named(rows.GLUON)


def _read(tmp_path, module, *words):
    (tmp_path / "module.so").write_bytes(module)
    command = ["readelf", "--wide", *words, str(tmp_path / "module.so")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("arch", toolchain.TARGETS)
def test_the_module_needs_musl_alone_and_offers_its_providers_alone(arch, tmp_path):
    (module,) = built.parts(_ROW, arch).values()
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", _read(tmp_path, module, "--dynamic"))
    assert needed == ["libc.so"]  # as OpenWrt's musl calls itself; json-c is respondd's
    symbols = [line.split() for line in _read(tmp_path, module, "--dyn-syms").splitlines()]
    symbols = [words for words in symbols if len(words) == 8 and words[4] == "GLOBAL"]
    assert [words[7] for words in symbols if words[6] != "UND"] == ["respondd_providers"]
    assert any(words[7] == "json_object_object_add" for words in symbols)


def test_made_twice_it_is_the_same_bytes():
    assert built.parts(_ROW, "mips") == built.parts(_ROW, "mips")
