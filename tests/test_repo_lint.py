# SPDX-License-Identifier: MIT
"""The linters find nothing."""

import pytest

from devtools import lint
from machine import native_build


@pytest.mark.parametrize("name", ["ruff check", "ruff format", "clang-format", "shellcheck"])
def test_the_linter_finds_nothing(name):
    result = lint.run(lint.checks()[name])
    assert result.returncode == 0, result.stdout


def test_gcc_compiles_the_core_without_a_warning():
    assert native_build.objects(native_build.core_sources(), ["-fPIC"])
