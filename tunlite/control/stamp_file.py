# SPDX-License-Identifier: MIT
"""The file of each own public key that keeps what stamps go on from (protocol.md, "Stamps")."""

from tunlite.protocol import noise

RETRY_MS = 600_000
FILES_MOST = 64  # of all own keys
_FILE_MAX = 256
_ENOENT = 2
_PREFIX = "stamp-"


class StampFile:
    """`kept` of stamp.Stamps. `folder` holds the files; None: nothing is kept."""

    def __init__(self, port, folder, log):
        self._port = port
        self._folder = folder
        self._log = log
        self._path = None
        self._public = ""
        self._unsaved_since_ms = None
        try:
            self.boot = port.read_file("/proc/sys/kernel/random/boot_id")[:8].decode()
        except OSError:
            self.boot = "-"

    def load(self, public):
        """(given, reserve, boot of the last leap) of our own key's (bytes 32) file from now on."""
        self._public = bytes(public).hex()
        self._unsaved_since_ms = None
        self._path = None
        if self._folder is None:
            self._log.error("no state folder: the time in handshakes is not kept over a restart")
            return 0, 0, ""
        self._path = self._folder + "/" + _PREFIX + self._public[:16]
        try:
            return self._read()
        except ValueError:
            self._log.error(f"{self._path}: not a stamp file of our key, begun anew")
        except OSError as e:
            if e.errno == _ENOENT:
                self._drop_oldest()
            else:
                self._log.error(
                    f"{self._path}: cannot be read ({self._port.strerror(e.errno)}), begun anew"
                )
        return 0, 0, ""

    def _check(self, text):
        return noise.blake2s(self._port, text.encode()).hex()[:16]

    def _numbers(self, path):
        """[public key in hex, given, reserve, boot] of a file; OSError, ValueError."""
        data = self._port.read_file(path)
        if len(data) > _FILE_MAX:
            raise ValueError
        text, _, check = data.decode().strip().rpartition(" ")  # UnicodeError is a ValueError
        words = text.split(" ")
        if check != self._check(text) or len(words) not in (2, 4):
            raise ValueError
        if len(words) == 2:  # 0.1.0 kept a mark alone: a reserve, whose stamps were answered
            words = [words[0], "1", words[1], "-"]
        return [words[0], int(words[1]), int(words[2]), words[3]]

    def _read(self):
        public, given, reserve, leapt = self._numbers(self._path)
        if public != self._public:
            raise ValueError
        return given, reserve, leapt if leapt != "-" else ""

    def _age(self, path):
        try:
            return max(self._numbers(path)[1:3])
        except ValueError:
            return 0

    def _drop_oldest(self):
        """Makes room for a new key's file: those of keys that went must not pile up."""
        start = self._folder + "/"
        try:
            names = [name for name in self._port.listdir(start) if name.startswith(_PREFIX)]
            excess = len(names) + 1 - FILES_MOST
            if excess > 0:
                for _, path in sorted([(self._age(start + name), start + name) for name in names])[
                    :excess
                ]:
                    self._port.unlink(path)
        except OSError:
            pass  # there is no folder yet

    def is_due(self):
        """Whether what could not be written is to be tried again."""
        since_ms = self._unsaved_since_ms
        return since_ms is not None and self._port.now_ms() - since_ms >= RETRY_MS

    def write(self, given, reserve, leapt):
        """Where that fails, the numbers are those of the next write()."""
        if self._path is None:
            return
        text = f"{self._public} {given} {reserve} {leapt or '-'}"
        try:
            self._port.write_file_atomic(
                self._path, f"{text} {self._check(text)}\n".encode(), 0o600
            )
            self._unsaved_since_ms = None
        except OSError as e:
            self._unsaved_since_ms = self._port.now_ms()
            self._log.error(
                f"{self._path}: cannot be written ({self._port.strerror(e.errno)}); the time in"
                " handshakes is kept in memory only, and peers may refuse us after a restart",
                "stamp-write",
            )
