# SPDX-License-Identifier: MIT
"""Three emulated machines in one batman-adv mesh over layer 2; qemu/mesh_test.py says who is where.

What one machine can show of layer 2 and vxlan (eight peers in 64 MB, gateways of today) are
scenarios of every router: test_routers.py.
"""

import pytest

from devtools import cross
from machine import rootless
from qemu import mesh_test

MEMORY_KB = 2048


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not rootless.has_capabilities(), reason="needs tap devices on the host")
def test_a_mesh_of_three_machines_goes_on_when_the_gateway_in_use_is_killed():
    for arch in (mesh_test.ROUTER, *mesh_test.GATEWAYS.values()):
        cross.build(arch)
    result = mesh_test.mesh_test(lambda line: None)
    assert result.ok, result.why_not_ok() + "\n" + "\n".join(result.console)
    peaks = {name: kb for name, kb in result.values.items() if name.endswith("-kb")}
    assert sorted(peaks) == ["far-kb", "gateway1-kb", "gateway2-kb", "near-kb"]
    assert max(peaks.values()) <= MEMORY_KB, peaks
