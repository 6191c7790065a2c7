# SPDX-License-Identifier: MIT
"""Emulated routers, each a full boot with our package in it: qemu/guest/scenarios.sh lists what it
does. A machine that fails shows its console.
"""

import pytest

from devtools import cross
from devtools.openwrt import architectures, make, rows
from machine import rootless
from qemu import router_test


def _console(result):
    return result.why_not_ok() + "\n" + "\n".join(result.console)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "arch",
    [
        "mipsel",
        "aarch64",
        pytest.param("arm", marks=pytest.mark.slow),
        pytest.param("mips", marks=pytest.mark.slow),
    ],
)
def test_a_router_with_our_package_passes_every_scenario(arch):
    cross.build(arch)
    name = architectures.names(arch)[0]
    packages = tuple(make.package(row, "ipk", name) for row in rows.PACKAGES)
    said = []
    result = router_test.router_test(arch, router_test.Options(packages=packages), said.append)
    assert result.ok, _console(result)
    left_out = [line for line in said if "left out" in line]
    assert left_out == [] or not rootless.has_capabilities()  # the host's end needs a tap device


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kernels_of_three_generations_get_the_engine_that_suits_them():
    from qemu import engine_test

    engine_test.main()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_scenarios_find_a_router_that_goes_back_in_time():
    options = router_test.Options(implementation="kernel", scenarios=("clock1970",))
    result = router_test.router_test("mipsel", options)
    assert result.ok, _console(result)
    assert "clock1970-control" in result.passed
