# SPDX-License-Identifier: MIT
"""What a user is told: words, never the bare number of an error."""

import re
from pathlib import Path

import pytest

from tunlite import errors
from tunlite.plane import plane

_SOURCES = sorted((Path(__file__).resolve().parents[2] / "tunlite").rglob("*.py"))


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: path.name)
def test_no_message_tells_an_errno_by_its_number(path):
    assert re.findall(r".*errno \{.*", path.read_text()) == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(24, "Too many open files", "/x"), "Too many open files"),
        (OSError(24), "Too many open files"),  # as MicroPython raises it
        (errors.UserError("the reason"), "the reason"),
        (IndexError("odd"), "IndexError: odd"),
        (plane.PlaneError(12, "plane"), "PlaneError: plane: Cannot allocate memory"),
    ],
)
def test_each_kind_of_error_is_told_in_words(error, text):
    assert errors.told(error) == text
