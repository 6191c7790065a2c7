# SPDX-License-Identifier: MIT
"""ProbeAddress that no member answers, and another one by a reload, on the fakes."""

import pytest

from lab.fakes.groups import Gateways
from tunlite.uapi import status


@pytest.mark.parametrize("fail_after", [1, 3])
def test_where_no_member_answers_echoes_fail_after_counts_as_five_seconds(fail_after):
    lab = Gateways(probe=True, fail_after=fail_after)
    for node in lab.gateways:
        node.native.answers = set()
    lab.ping(5)
    lab.ping(60, answered=False)
    before = lab.losses
    assert "handshakes judge" in lab.group.choice.trouble
    assert '"fails_after_s": 5' in b"".join(status.pieces(lab.router.daemon)).decode()
    lab.loss = 0.1
    lab.ping(300, answered=False)
    assert lab.losses == before
