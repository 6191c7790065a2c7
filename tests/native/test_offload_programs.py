# SPDX-License-Identifier: MIT
"""Cutting and merging under the sanitizers: inputs of a corpus, and what chance makes of them."""

from pathlib import Path

import pytest

from tests.native import corpus_run, offload_ffi

CORPUS = Path(__file__).parent / "offload_corpus"


@pytest.mark.parametrize("target", ["cut", "merge"])
def test_no_input_loses_changes_or_invents_a_byte(target):
    corpus_run.run("offload_fuzz", offload_ffi.core_sources(), CORPUS / target)
