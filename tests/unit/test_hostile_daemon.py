# SPDX-License-Identifier: MIT
"""Daemons that were taken over: root's commands read their answers, and must not fall over them."""

import os
import threading

import pytest

from tunlite import client, log, port, process, quick, setconf
from tunlite.errors import UserError


@pytest.fixture
def says(tmp_path, monkeypatch):
    """says(bytes): a daemon "t" that answers one request with them."""
    monkeypatch.setattr(client, "FOLDER", str(tmp_path))
    threads = []

    def answer(data):
        listener = port.unix_listen(str(tmp_path / "t.sock"), 0o600, -1)

        def serve():
            port.poll([(listener, port.POLLIN)], 5000)
            fd = port.unix_accept(listener)
            port.poll([(fd, port.POLLIN)], 5000)
            port.os_read(fd, 4096)
            try:
                port.os_write(fd, data)
            except OSError:
                pass  # whoever asked has seen enough
            port.close(fd)
            port.close(listener)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"errno=zero\n\n",
        b"public_key=xyz\nerrno=0\n\n",
        b"allowed_ip=1\nerrno=0\n\n",
        b"fwmark=many\nerrno=0\n\n",
        b"listen_port=\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\npersistent_keepalive_interval=x\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\nallowed_ip=\xff\nerrno=0\n\n",
        b"public_key=" + b"ab" * 32 + b"\nendpoint=\xff\nerrno=0\n\n",
        b"\xff=1\nerrno=0\n\n",
        b"",
    ],
)
def test_an_answer_of_nonsense_is_a_refusal(says, answer):
    says(answer)
    with pytest.raises(client.Refused):
        setconf.Running(client.get_device("t"))


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"5",
        b"[]",
        b"\xff",
        b"[" * 60_000,
        b'{"peers":[]}',
        b'{"a":1,"peers":[',
        b'{"a":1,"peers":[{"public_key":',
        b'{"a":1,"peers":[5]}',
        b'{"a":1,"peers":[{"public_key":"' + b"A" * (2 << 20) + b'"}]}',
    ],
)
def test_a_status_of_nonsense_is_a_refusal(says, answer):
    says(answer + b"\nerrno=0\n\n")
    with pytest.raises(client.Refused):
        list(client.status("t"))


def test_a_refusal_is_an_error_that_commands_expect():
    assert issubclass(client.Refused, UserError)


@pytest.mark.timeout(20)
def test_a_daemon_that_speaks_where_it_has_nothing_to_say_is_ended(monkeypatch):
    readable, writable = port.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writable, b"hello")
        port.sleep_ms(10_000)
        os._exit(0)
    port.poll([(readable, port.POLLIN)], 5000)
    downs = []
    monkeypatch.setattr(quick, "take_down", lambda state, *_: downs.append(state["pid"]))
    child = process.Child(pid, readable, writable)
    lines = []
    said = log.Log("t", write=lines.append)
    assert quick._ended_by_itself({"pid": pid}, child, said, None) != 0
    assert downs == [0] and "was killed by signal 9" in lines[0]
    port.close(readable)
    port.close(writable)
