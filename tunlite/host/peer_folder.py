# SPDX-License-Identifier: MIT
"""Peers = FOLDER: one file a peer, read by the runner's child, which tells the daemon what differs.

What was told is kept in /var/run/tunlite/NAME.folder, so that who begins anew knows which endpoints
have changed and whose file cannot be read for now.
"""

import binascii
import json

from tunlite import addresses, keys
from tunlite.config import as_uapi, parser, secret_text
from tunlite.errors import said, told
from tunlite.host import record
from tunlite.system import port
from tunlite.uapi import client

_SETTLED_MS = 1000  # after the folder's last change
_AT_LATEST_MS = 10_000  # after the first
_AGAIN_MS = 10_000  # where there is no folder, or the daemon does not answer
_A_SET = 500  # peers; a set with one that is refused is sent anew, peer by peer
_NAME_MAX = 64
_BYTES_MAX = 1 << 20  # of a file: tens of thousands of prefixes
_UNTOLD = ("Description", "Lifetime")
_HIDDEN = "tunlite check says why"  # it may name an endpoint


class _BadFile(Exception):
    """args[0]: what is wrong."""


class PeerFolder:
    """`names`: base64 of a public key -> its file's name. `groups`: names of groups."""

    def __init__(self, interface, path, groups, log):
        self.names = {}
        self.watch_fd = None
        self.due_ms = None  # when it is to be read again
        self._changed_ms = None
        self._interface = interface
        self._path = path
        self._groups = groups
        self._log = log
        self._poll = port.poll
        self._told = None  # where it could not be written down: the rows of the last look

    # ---- when ----

    def waits_by(self, poll):
        """poll: used as port.poll() wherever the daemon is waited for."""
        self._poll = poll

    def changed(self, now_ms):
        """Its descriptor is readable."""
        try:
            while port.os_read(self.watch_fd, 4096):
                pass
        except OSError:
            pass  # read empty
        if self._changed_ms is None:
            self._changed_ms = now_ms
        self.due_ms = min(now_ms + _SETTLED_MS, self._changed_ms + _AT_LATEST_MS)

    def load(self):
        """Reads it and tells the daemon what differs."""
        self.due_ms = self._changed_ms = None
        if self.watch_fd is not None:
            port.close(self.watch_fd)
        self.watch_fd = port.watch_folder(self._path)
        try:
            self._load()
        except Exception as e:
            self._log.error(f"{self._path}: no peer is changed: {told(e)}", "folder")
            self.due_ms = port.now_ms() + _AGAIN_MS

    # ---- what ----

    def _load(self):
        found = sorted(port.listdir(self._path))
        running = as_uapi.Running(client.get_device(self._interface, poll=self._poll))
        before = _kept(self._interface) if self._told is None else self._told
        reading = _Reading(self._path, running, before, self._groups)
        self._tell(reading.changes(found, self._log))
        self._tell(reading.removals())
        self.names = reading.names
        self._keep(reading.rows)

    def _keep(self, rows):
        path = record.folder_path(self._interface)
        try:
            port.write_file_atomic(path, json.dumps(rows).encode(), 0o600)
            self._told = None
        except OSError as e:
            self._told = rows
            self._log.error(f"{path}: cannot be written, kept in memory: {said(e)}", "folder")

    def _tell(self, pieces):
        """Pieces are a peer's lines each; sets of many, as each publishes routes."""
        waiting = []
        for piece in pieces:
            waiting.append(piece)
            if len(waiting) == _A_SET:
                self._send(waiting)
                waiting = []
        if waiting:
            self._send(waiting)

    def _set(self, pieces):
        client.set_device(self._interface, [bytearray(piece) for piece in pieces], self._poll)

    def _send(self, pieces):
        try:
            self._set(pieces)
        except client.Refused:
            for piece in pieces:
                self._send_alone(piece)
        finally:
            for piece in pieces:
                keys.wipe(piece)

    def _send_alone(self, piece):
        try:
            self._set([piece])
        except client.Refused as e:
            key = keys.text(binascii.unhexlify(bytes(piece[11:75])))
            self._log.error(f"{self._path}: the peer {key} is refused: {told(e)}", "file")


def _kept(interface):
    try:
        kept = json.loads(port.read_file(record.folder_path(interface)).decode())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: nested too deep
        return {}
    if not isinstance(kept, dict):
        return {}
    return {file: row for file, row in kept.items() if _is_row(row)}


def _is_row(row):
    return (
        isinstance(row, list)
        and len(row) == 3
        and isinstance(row[0], str)
        and isinstance(row[1], str)
    )


class _Reading:
    """One look at all files. `running`: as_uapi.Running; `before`: the rows of the last look."""

    def __init__(self, path, running, before, groups):
        self.rows = {}  # file -> [public key, endpoint, what no daemon tells: _UNTOLD]
        self.names = {}
        self._macs = {}  # address -> file
        self._path = path
        self._running = running
        self._before = before
        self._endpoints = {row[0]: row[1] for row in before.values() if row[1]}
        self._groups = groups

    def changes(self, found, log):
        """Of each peer that is new or has changed its lines."""
        for file in found:
            if file.startswith("."):
                continue
            try:
                lines = self._read(file)
            except (_BadFile, OSError, MemoryError) as e:
                log.error(f"{self._path}/{file}: left out: {_why(e, log)}", "file")
                row = self._before.get(file)
                if row is not None and row[0] not in self.names:
                    self._note(file, row)  # what it said when it could be read holds
                continue
            if lines:
                yield lines

    def removals(self):
        for public in self._running.peers:
            if keys.text(public) not in self.names and self._is_ours(self._running.peer(public)):
                yield bytearray(b"public_key=" + binascii.hexlify(public) + b"\nremove=true\n")

    def _is_ours(self, peer):
        return peer is not None and peer.get("origin") == b"folder"

    def _note(self, file, row):
        self.rows[file] = row
        self.names[row[0]] = file

    def _read(self, file):
        path = f"{self._path}/{file}"
        config = parser.Config(path, _text_of(path))
        lines = row = None
        try:
            for peer in parser.sections(config):
                _check(lines is None, "there is more than one [Peer] in it")
                lines = bytearray()
                if not config.errors:
                    row, lines = self._lines(file, peer)
            if config.errors:
                line = config.lines_of(config.errors)[0]
                raise _BadFile("line " + line[len(path) + 1 :])
            _check(lines is not None, "there is no [Peer] in it")
            _check(not config.interface and not config.groups, "more than a [Peer] is in it")
            refusal = secret_text.file_refusal(path, config.holds_secret)
            _check(not refusal, refusal)
            self._note(file, row)
            return lines
        except BaseException:
            keys.wipe(lines)
            raise
        finally:
            config.wipe()

    def _lines(self, file, peer):
        """Its row, and what differs."""
        key = keys.text(peer["PublicKey"])
        group = peer.get("Group", "")
        runs = self._running.peer(peer["PublicKey"])
        _check(key not in self.names, f"{self.names.get(key)} has the same key")
        _check(runs is None or "origin" in runs, "the configuration, or wg set, has this peer")
        _check(not group or group in self._groups, f"no [Group] has the Name {group}")
        for mac in peer.get("MACs", ()):
            other = self._macs.setdefault(mac, file)
            _check(other == file, f"{other} pins {mac} too")
        if len(file) <= _NAME_MAX and addresses.is_word(file, "._-"):
            peer.setdefault("Description", file)
        row = [key, peer.get("Endpoint", ""), [peer.get(name) for name in _UNTOLD]]
        before = self._before.get(file)
        if not self._is_ours(runs):
            return row, as_uapi.of_folder(peer, runs)
        if before is not None and before[2] == row[2]:
            for name in _UNTOLD:
                peer.pop(name, None)
        return row, as_uapi.of_folder(peer, runs, self._endpoints)


def _text_of(path):
    """Who may write there has no right to have us wait for a pipe's other end, or open a device: it
    is a file that was looked at, whatever the name is by now."""
    held = port.open_path(path)
    try:
        here = f"/proc/self/fd/{held}"
        mode, _, _, size = port.stat(here)
        _check(secret_text.is_file(mode), "it is no file")
        _check(size, "it is empty")  # or, as /proc/kmsg, none that ends
        _check(size <= _BYTES_MAX, "it is larger than 1 MB")
        fd = port.open_read(here)
    finally:
        port.close(held)
    try:
        return secret_text.read_text(fd)
    finally:
        port.close(fd)


def _why(e, log):
    if isinstance(e, MemoryError):
        return "there is not enough memory for it"
    return log.outer(e.args[0], _HIDDEN) if isinstance(e, _BadFile) else said(e)


def _check(holds, wrong):
    if not holds:
        raise _BadFile(wrong)
