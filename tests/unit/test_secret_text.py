# SPDX-License-Identifier: MIT
"""Text that may hold a key: no copy of it stays, and files that others may read are refused."""

import os
import threading

import pytest

from tunlite.config import secret_text
from tunlite.system import port


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_file_for_owner_and_reading_group_is_accepted(tmp_path, mode):
    path = tmp_path / "k"
    path.write_text("")
    path.chmod(mode)
    assert secret_text.file_refusal(str(path)) is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620, 0o610, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_chmod_that_mends_it(tmp_path, mode):
    path = tmp_path / "k"
    path.write_text("")
    path.chmod(mode)
    assert f"chmod 600 {path}" in secret_text.file_refusal(str(path))


def test_a_pipe_is_the_callers_own():
    assert secret_text.file_refusal("/dev/null") is None


def _through_a_pipe(data):
    r, w = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(w, data), os.close(w)))
    writer.start()
    try:
        return secret_text.read_all(r)
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
    text = secret_text.Text(pieces)
    kept = []
    for line in text.lines():
        kept.append((bytes(line), line))
    assert [line for line, _ in kept] == data.split(b"\n")
    assert all(bytes(line) == bytes(len(line)) for _, line in kept)
    assert text.whole() == data
    text.wipe()
    assert all(bytes(piece) == bytes(len(piece)) for piece in pieces)
    assert list(text.lines()) == []
