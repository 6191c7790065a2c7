# SPDX-License-Identifier: MIT
"""A DNS server for one test, and daemons that ask it.

It answers A and AAAA from a table, other names with NXDOMAIN; or, silent, nobody; or it drops the
questions for AAAA alone, as some routers' forwarders do.
"""

import selectors
import socket
import struct
import threading

_ADDRESS = "127.0.0.53"
_A, _AAAA = 1, 28


class NameServer:
    """Listens in a namespace on 127.0.0.53; `names` ({name: address, or list of
    such}) may change any time."""

    def __init__(self, lab, namespace, names=None, silent=False):
        self.names = names or {}
        self.silent = silent
        self.drops_aaaa = False
        self.asked = []  # names, one for each question of A
        self._file = lab.folder / "resolv.conf"
        self._file.write_text(f"nameserver {_ADDRESS}\n", encoding="ascii")
        self._sock = namespace.udp_socket(_ADDRESS, 53)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._sock, selectors.EVENT_READ)
        self._ended = False
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()
        lab.on_close(self._close)

    @property
    def prefix(self):
        """Words before a command that is to resolve names here: it sees a resolv.conf of ours.

        In a mount namespace of its own, since the file is one for the whole machine.
        """
        script = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
        return ["unshare", "--mount", "sh", "-ec", script, "sh", self._file]

    def serve(self, peer):
        """From its next start on this Tunlite resolves names here."""
        peer.command = [*self.prefix, *peer.command]

    def _turn(self):
        while not self._ended:
            for _ in self._selector.select(0.1):
                question, source = self._sock.recvfrom(1500)
                name, kind, end = _asked(question)
                if kind == _A:
                    self.asked.append(name)
                if not self.silent and not (self.drops_aaaa and kind == _AAAA):
                    answer = self._answer(question, name, kind, end)
                    self._sock.sendto(answer, source)

    def _answer(self, question, name, kind, end):
        """RFC 1035, 4.1 and RFC 3596: header, the question as it came, records."""
        found = self.names.get(name, [])
        records = []
        for address in [found] if isinstance(found, str) else found:
            family, its_kind = (socket.AF_INET, _A)
            if ":" in address:
                family, its_kind = (socket.AF_INET6, _AAAA)
            if its_kind == kind:
                packed = socket.inet_pton(family, address)
                records.append(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(packed)) + packed)
        flags = 0x8180 if found else 0x8183
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return head + question[12:end] + b"".join(records)

    def _close(self):
        self._ended = True
        self._thread.join()
        self._selector.close()
        self._sock.close()


def _asked(question):
    """(name, type, where the question ends) of a DNS query."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii"))
        at += 1 + question[at]
    return ".".join(labels), int.from_bytes(question[at + 1 : at + 3], "big"), at + 5
