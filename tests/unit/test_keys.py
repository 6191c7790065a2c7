# SPDX-License-Identifier: MIT
"""Keys: base64 as wg(8) reads it, and files that others may read."""

import base64
import os
import threading

import pytest
from hypothesis import given, strategies as st

from tunlite import keys
from tunlite.system import port

_KEY = st.binary(min_size=32, max_size=32)
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@given(_KEY)
def test_a_key_is_written_as_base64_and_read_back(key):
    assert bytes(keys.encode(key)) == base64.b64encode(key)
    assert keys.decode(keys.encode(key)) == key


def test_every_byte_that_is_not_base64_is_refused_at_every_place():
    good = bytearray(base64.b64encode(bytes(range(32))))
    for place in range(44):
        for char in range(256):
            text = bytearray(good)
            text[place] = char
            valid = char in _LETTERS
            if place == 42:
                valid = valid and _LETTERS.index(char) % 4 == 0  # two bits past the key
            if place == 43:
                valid = char == ord("=")
            if valid:
                assert bytes(keys.encode(keys.decode(text))) == text
            else:
                with pytest.raises(ValueError):
                    keys.decode(text)


@pytest.mark.parametrize("text", [b"", b"=", b"A" * 43, b"A" * 44 + b"=", b"A" * 45])
def test_a_key_of_another_length_is_refused(text):
    with pytest.raises(ValueError):
        keys.decode(text)


def test_an_error_never_quotes_the_key():
    text = bytearray(base64.b64encode(os.urandom(32)))
    text[5] = ord("!")
    with pytest.raises(ValueError) as refused:
        keys.decode(text)
    assert text.decode()[:8] not in str(refused.value)


def test_the_public_key_of_rfc_7748s_alice():
    private = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert keys.public_of(private).hex() == public


def test_a_secret_is_wiped_in_place():
    secret = bytearray(b"secret")
    keys.wipe(secret)
    assert secret == bytes(6)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_file_for_owner_and_reading_group_is_accepted(tmp_path, mode):
    path = tmp_path / "k"
    path.write_text("")
    path.chmod(mode)
    assert keys.file_refusal(str(path)) is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620, 0o610, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_chmod_that_mends_it(tmp_path, mode):
    path = tmp_path / "k"
    path.write_text("")
    path.chmod(mode)
    assert f"chmod 600 {path}" in keys.file_refusal(str(path))


def test_a_pipe_is_the_callers_own():
    assert keys.file_refusal("/dev/null") is None


def _through_a_pipe(data):
    r, w = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(w, data), os.close(w)))
    writer.start()
    try:
        return keys.read_all(r)
    finally:
        writer.join()
        os.close(r)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 50_000])
def test_all_of_a_descriptor_is_read_into_a_buffer_that_can_be_wiped(size):
    data = os.urandom(size)
    found = _through_a_pipe(data)
    assert found == data and isinstance(found, bytearray)


def test_no_other_copy_of_what_was_read_stays(monkeypatch):
    buffers = []
    read = port.read_into

    def remember(fd, buffer):
        buffers.append(buffer)
        return read(fd, buffer)

    monkeypatch.setattr(port, "read_into", remember)
    assert _through_a_pipe(b"x" * 10_000) == b"x" * 10_000
    assert len(buffers) > 1
    assert all(bytes(buffer) == bytes(len(buffer)) for buffer in buffers)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_whole_however_the_text_is_cut_and_wiped_afterwards(size):
    data = b"one\n\ntwo = 2\r\nlast"
    pieces = [bytearray(data[i : i + size]) for i in range(0, len(data), size)]
    text = keys.Text(pieces)
    kept = []
    for line in text.lines():
        kept.append((bytes(line), line))
    assert [line for line, _ in kept] == data.split(b"\n")
    assert all(bytes(line) == bytes(len(line)) for _, line in kept)
    assert text.whole() == data
    text.wipe()
    assert all(bytes(piece) == bytes(len(piece)) for piece in pieces)
    assert list(text.lines()) == []
