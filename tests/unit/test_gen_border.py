# SPDX-License-Identifier: MIT
"""The two readings of the border header agree: cffi's checked calls and MicroPython's module."""

import importlib.util
from pathlib import Path

import pytest

from tunlite.system import cpython_native

_ROOT = Path(__file__).resolve().parents[2]
_HEADER = (_ROOT / "native/include/tunlite.h").read_text(encoding="utf-8")


def _generator():
    path = _ROOT / "micropython/gen_border.py"
    spec = importlib.util.spec_from_file_location("gen_border", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gen_border = _generator()


def test_both_interpreters_see_the_same_signatures():
    mine = {}
    for name, parameters in gen_border.declarations(_HEADER):
        marks = {"int": "", "in": "<", "out": ">"}
        words = [
            "?" + label if label in gen_border.NULLABLE else marks[kind] + label
            for label, kind in parameters
        ]
        mine[name] = words
    theirs = {}
    for line in cpython_native.SIGNATURES.splitlines():
        if line:
            name, *words = line.split()
            theirs[name] = words
    assert mine == theirs


def test_every_function_of_the_header_gets_a_call():
    text = gen_border.module(_HEADER)
    for name, _ in gen_border.declarations(_HEADER):
        assert f"MP_QSTR_{name})" in text


def test_a_fixed_length_is_checked_exactly():
    text = gen_border.module("int tl_x(int plane, const unsigned char *key32);")
    assert "exact(a[1], 32, MP_BUFFER_READ)" in text


def test_a_length_is_checked_against_its_buffer():
    text = gen_border.module("int tl_x(unsigned char *out, int out_len);")
    assert "buffer(a[0], whole(a[1]), MP_BUFFER_WRITE)" in text


@pytest.mark.parametrize(
    "declaration",
    [
        "int tl_x(unsigned char *out);",
        "int tl_x(unsigned char *out, int length);",
        "int tl_x(long n);",
        "int tl_x(const char *name, int name_len);",
    ],
)
def test_a_parameter_that_cannot_be_checked_is_refused(declaration):
    with pytest.raises(ValueError, match="tl_x"):
        gen_border.module(declaration)
