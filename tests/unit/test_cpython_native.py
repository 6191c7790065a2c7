# SPDX-License-Identifier: MIT
"""The checked border: no mistake in Python can make C read or write past a buffer."""

import importlib.util
import re
from pathlib import Path

import pytest

from tunlite.system import cpython_native, port

ROOT = Path(__file__).resolve().parents[2]


def _header_signatures():
    spec = importlib.util.spec_from_file_location("build_ffi", ROOT / "native/build_ffi.py")
    build_ffi = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_ffi)
    text = build_ffi.border_cdef((ROOT / "native/include/tunlite.h").read_text())
    lines = []
    for name, parameters in re.findall(r"int\s+(tl_\w+)\(([^)]*)\);", text):
        words = [name]
        for parameter in parameters.split(","):
            label = re.search(r"(\w+)\s*$", parameter)[1]
            if "*" in parameter:
                nullable = name in ("tl_plane_identity", "tl_run")
                label = ("?" if nullable else "<" if "const" in parameter else ">") + label
            words.append(label)
        lines.append(" ".join(words))
    return lines


def test_the_table_of_signatures_is_the_header():
    assert cpython_native.SIGNATURES.split("\n")[1:-1] == _header_signatures()


def test_every_pointer_has_a_length_in_its_name_or_behind_it():
    for line in _header_signatures():
        words = line.split()[1:]
        for i, word in enumerate(words):
            if word[0] in "<>?" and not word[-1].isdigit():
                assert words[i + 1] == word[1:] + "_len", line


class _Recorder:
    """Stands in for cffi's function: it must not be reached with a bad buffer."""

    def __init__(self):
        self.calls = []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        return 0


@pytest.fixture
def function():
    ffi = pytest.importorskip("cffi").FFI()
    recorder = _Recorder()
    call = cpython_native._wrap(
        ffi, recorder, "tl_x", [">out", "out_len", "<key32", "<in", "in_len", "?id4"]
    )
    return call, recorder


def test_buffers_of_the_right_sizes_reach_c(function):
    call, recorder = function
    call(bytearray(3), 3, bytes(32), memoryview(b"abc"), 2, None)
    assert len(recorder.calls) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (bytearray(2), 3, bytes(32), b"ab", 2, None),
        (bytearray(3), -1, bytes(32), b"ab", 2, None),
        (bytearray(3), 3, bytes(31), b"ab", 2, None),
        (bytearray(3), 3, bytes(33), b"ab", 2, None),
        (bytearray(3), 3, None, b"ab", 2, None),
        (bytearray(3), 3, bytes(32), b"ab", 3, None),
        (bytearray(3), 3, bytes(32), None, 1, None),
        (bytearray(3), 3, bytes(32), b"ab", 2, bytes(5)),
        (None, 3, bytes(32), b"ab", 2, None),
    ],
)
def test_a_buffer_of_the_wrong_size_is_refused_before_c(function, arguments):
    call, recorder = function
    with pytest.raises(ValueError):
        call(*arguments)
    assert not recorder.calls


@pytest.mark.parametrize(
    "arguments",
    [
        (bytes(3), 3, bytes(32), b"ab", 2, None),  # C would write into a constant
        ("abc", 3, bytes(32), b"ab", 2, None),
        (bytearray(3), 3, 32, b"ab", 2, None),
        (bytearray(3), 3, bytes(32), b"ab", 2),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_before_c(function, arguments):
    call, recorder = function
    with pytest.raises((TypeError, ValueError, BufferError)):
        call(*arguments)
    assert not recorder.calls


def test_none_stands_for_an_empty_buffer(function):
    call, recorder = function
    call(None, 0, bytes(32), None, 0, None)
    assert len(recorder.calls) == 1


def test_x25519_gives_the_first_vector_of_rfc_7748():
    k = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    u = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    out = bytearray(32)
    assert port.x25519(out, k, u)
    assert out.hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"


def test_x25519_says_so_when_the_result_is_zero():
    out = bytearray(b"x" * 32)
    assert not port.x25519(out, bytes(range(32)), bytes(32))
    assert out == bytes(32)


def test_x25519_refuses_short_buffers():
    with pytest.raises(ValueError):
        port.x25519(bytearray(31), bytes(32), bytes(32))
