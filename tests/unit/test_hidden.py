# SPDX-License-Identifier: MIT
"""HideAddresses: one function makes text of an outer address for people."""

import re
from pathlib import Path

from lab.fakes.net import Node, World
from tunlite import log as logs

_ROOT = Path(__file__).resolve().parents[2] / "tunlite"
_MAKES_TEXT = re.compile(r"endpoints\.(text|formatted)\(|addresses\.format_mac\(")
# uapi/get.py: what wg(8) reads is what it sets, and addresses=1 tells none that is hidden;
# values.py: what a file says.
_NOT_FOR_PEOPLE = {"endpoints.py", "uapi/get.py", "config/values.py"}


def _bare(name, text):
    """Lines that make text of an endpoint past Log.outer."""
    if name in _NOT_FOR_PEOPLE:
        return []
    return [line for line in text.split("\n") if _MAKES_TEXT.search(line) and "outer(" not in line]


def test_no_place_makes_text_of_an_endpoint_but_by_the_log():
    found = {}
    for path in _ROOT.rglob("*.py"):
        name = str(path.relative_to(_ROOT))
        found[name] = _bare(name, path.read_text())
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert _bare("control/x.py", 'log.info(f"at {endpoints.text(record)}")')
    assert _bare("control/x.py", "text = addresses.format_mac(mac)")


def test_what_is_hidden_is_told_in_other_words_and_what_is_not_there_stays_so():
    log = logs.Log("")
    assert log.outer("192.0.2.1:7") == "192.0.2.1:7"
    log.hides = True
    assert log.outer("192.0.2.1:7") == "(hidden)"
    assert log.outer("192.0.2.1:7", "a peer") == "a peer"
    assert log.outer("") == "" and log.outer(None) is None


def test_a_status_hides_where_a_peer_is_but_not_that_it_is_somewhere():
    from tunlite.uapi import fastd_status, status

    world = World()
    router, gateway = (Node(world, bytes([192, 0, 2, n])).start() for n in (1, 2))
    router.add(gateway, b"\x0a\0\0\x02")
    for pieces in (status.pieces, fastd_status.pieces):
        assert b"192.0.2.2" in b"".join(pieces(router.daemon))
        router.log.hides = True
        assert b"192.0.2.2" not in b"".join(pieces(router.daemon))
        assert b"(hidden)" in b"".join(pieces(router.daemon))
        router.log.hides = False
