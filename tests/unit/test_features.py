# SPDX-License-Identifier: MIT
"""features.py: what is said where something was asked for and is not used."""

import pytest

from tunlite.plane import features


def row(kind, name, on, why):
    return {"kind": kind, "name": name, "on": on, "why": why}


TABLE = [
    row("engine", "basic", False, "available"),
    row("engine", "mmsg", True, "chosen"),
    row("engine", "io_uring", False, "not permitted"),
    row("workers", "workers", False, "the engine works in one thread"),
    row("aead", "portable", True, "chosen"),
]
SEVERAL = [
    row("workers", "workers", True, "chosen") if r["name"] == "workers" else r for r in TABLE
]


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("auto", None),
        ("mmsg", None),
        ("io_uring", "Engine = io_uring: not permitted; using mmsg"),
        ("basic", "Engine = basic: available; using mmsg"),
    ],
)
def test_an_engine_that_was_asked_for_and_is_not_used_is_told_with_its_reason(engine, told):
    assert features.refusal(TABLE, engine) == told


@pytest.mark.parametrize("wanted", [1, 2, 8])
def test_several_workers_that_were_asked_for_and_are_one_are_told_with_the_reason(wanted):
    told = f"Workers = {wanted}: the engine works in one thread; using 1"
    assert features.workers_refusal(TABLE, wanted) == (told if wanted > 1 else None)
    assert features.workers_refusal(SEVERAL, wanted) is None
