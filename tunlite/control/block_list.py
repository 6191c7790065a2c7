# SPDX-License-Identifier: MIT
"""The keys that an operator shut out, kept over restarts (control.md, "Shut out").

One public key a line, in base64: people may read the file. It is written anew as a whole, and each
change is on the disk before it is answered.
"""

from tunlite import keys

MOST = 10_000
_ENOENT = 2
_ENOSPC = 28


class BlockList:
    """`in` tells whether a key (bytes 32) is shut out."""

    def __init__(self, port, log):
        self._port = port
        self._log = log
        self.changes = 0
        self._keys = set()
        self._odd = b""  # lines of the file that are no keys
        self._path = None
        self._errno = 0  # why the file could not be read: it is not written over then

    def __contains__(self, public):
        return public in self._keys

    def __len__(self):
        return len(self._keys)

    def keep_in(self, path):
        """Takes up what the file holds, and keeps the list there from now on."""
        self._path = path
        try:
            text = bytes(self._port.read_file(path))
        except OSError as e:
            if e.errno != _ENOENT:
                self._errno = e.errno
                self._log.error(
                    f"{path}: cannot be read ({self._port.strerror(e.errno)}): NO KEY IS BLOCKED"
                )
            return
        for number, line in enumerate(text.split(b"\n")):
            if line.strip():
                self._take(line.strip(), number + 1)

    def _take(self, line, number):
        try:
            self._keys.add(bytes(keys.decode(line)))
        except ValueError:
            self._odd += line + b"\n"
            self._log.error(
                f"{self._path}:{number}: not a public key, left out; correct or remove the line",
                "block-list",
            )

    def add(self, public):
        """OSError: it is blocked, but for this run alone, or (ENOSPC) there are too many."""
        if len(self._keys) >= MOST and public not in self._keys:
            self._log.error(f"{MOST} keys are blocked already; unblock some")
            raise OSError(_ENOSPC, "too many")
        self.changes += 1
        self._keys.add(public)
        self._write()

    def remove(self, public):
        """Whether it was in it. OSError: it is unblocked for this run alone."""
        if public not in self._keys:
            return False
        self.changes += 1
        self._keys.remove(public)
        self._write()
        return True

    def _write(self):
        if self._path is None:
            self._log.error("no state folder: the list of blocked keys ends with the daemon")
            return
        try:
            if self._errno:
                raise OSError(self._errno, self._path)
            text = "".join([keys.text(public) + "\n" for public in sorted(self._keys)])
            self._port.write_file_atomic(self._path, self._odd + text.encode(), 0o600)
        except OSError as e:
            self._log.error(
                f"{self._path}: cannot be written ({self._port.strerror(e.errno)}): the change"
                " holds until the daemon ends"
            )
            raise
