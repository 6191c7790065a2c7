# SPDX-License-Identifier: MIT
"""OpenWrt's names of architectures, the page's table, and that what we build runs there."""

import functools
import re
import subprocess
from pathlib import Path

import pytest

from devtools import cross
from devtools.openwrt import architectures
from machine import toolchain
from tests.both.test_both import runner

_PAGE = Path(__file__).resolve().parents[2] / "docs/openwrt.md"
_ILLEGAL = -4  # SIGILL


def test_every_executable_has_a_name_and_every_name_an_executable():
    built = [row.built_as for row in architectures.SERVED]
    assert set(built) == set(toolchain.TARGETS)
    for arch in toolchain.TARGETS:
        assert architectures.executable_of(architectures.names(arch)[0]) == arch
    assert architectures.executable_of("mips64_octeonplus") is None


def test_no_name_is_both_served_and_not():
    names = [row.name for row in architectures.SERVED] + list(architectures.NOT_SERVED)
    assert len(names) == len(set(names))
    assert all(set(row.releases) <= set(architectures.RELEASES) for row in architectures.SERVED)


def test_the_page_names_them_all():
    text = _PAGE.read_text().split("\n## Which routers\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \| (`[^|]*) \| ([^|]*) \|", text, re.M)
    told = {
        name: (built.strip("` "), releases.split(", "))
        for names, built, releases in cells
        for name in re.findall("`([^`]*)`", names)
    }
    assert told == {row.name: (row.built_as, list(row.releases)) for row in architectures.SERVED}
    refused = text.split("Not served")[1]
    assert set(re.findall("`([^`]*)`", refused)) == set(architectures.NOT_SERVED)


_built = functools.cache(cross.build)


def _key(arch, cpu):
    command = [f"qemu-{arch}-static", "-cpu", cpu] if cpu else runner(arch)
    return subprocess.run([*command, str(_built(arch)), "genkey"], capture_output=True, timeout=60)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", architectures.SERVED, ids=lambda row: row.name)
def test_the_least_cpu_of_a_name_runs_what_we_build_for_it(row):
    done = _key(row.built_as, row.cpu)
    assert done.returncode == 0 and len(done.stdout) == 45, done.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize("cpu", ["cortex-a8", "cortex-a9"])
def test_a_cpu_without_division_does_not(cpu):
    assert _key("arm", cpu).returncode == _ILLEGAL
