# SPDX-License-Identifier: MIT
"""Configuration files: WireGuard's INI as wg(8) and wg-quick(8) read it, and some keys of our own.

KEYS is the one table; docs/config.md and `tunlite check --keys` come from it. Reading never stops
at the first error: `Config.errors` has them all. No error holds a secret, and secrets go from the
file's bytes into bytearrays, never into a str.
"""

from tunlite import config_values as values, keys, port

# name, whose it is, kind of value (config_values.py), default, help
_TABLE = """
[Interface]
PrivateKey wg secret none our private key, base64; tunlite genkey makes one
ListenPort wg port 0 UDP port, 0 for any
FwMark wg mark off mark of our UDP packets: a number, 0x and hex digits, or off
Address wg-quick prefixes none addresses of the interface, separated by commas
MTU wg-quick mtu auto bytes of an inside packet; auto: the way to the endpoints, less 80
Table wg-quick table auto where routes to the allowed IPs go: auto, off or a table's number
DNS wg-quick dns none name servers and search domains, given to resolvconf
PreUp wg-quick hook none command before the interface is set up; %i is its name
PostUp wg-quick hook none command after the interface was set up
PreDown wg-quick hook none command before the interface is taken down
PostDown wg-quick hook none command after the interface was taken down
SaveConfig wg-quick bool false known, but tunlite never writes its configuration
Engine tunlite word auto how packets are read and written; tunlite probe lists them
AEAD tunlite word auto implementation of ChaCha20-Poly1305; tunlite probe lists them
Offloads tunlite features auto offloads to leave off, separated by commas, or off for all
Batch tunlite batch auto most packets in one turn, 1 to 256
Memory tunlite memory auto bound of the packet buffers: bytes, or with K or M
Workers tunlite workers auto threads that turn packets
RekeyAfter tunlite rekey 120 age in seconds at which a session is replaced, 5 to 120
User tunlite word root user that the daemon becomes after set-up
Group tunlite word auto group of the daemon and its socket; auto: the user's
StateDir tunlite folder /var/lib/tunlite folder of the handshake clock's mark; keep it over reboots
Layer tunlite layer 3 3: IP packets; 2 is reserved
[Peer]
PublicKey wg public required the peer's public key, base64
PresharedKey wg secret none a secret of both ends, base64; tunlite genpsk makes one
AllowedIPs wg allowed none prefixes sent to this peer and accepted from it
Endpoint wg endpoint none host:port or [IPv6 address]:port; names are resolved while it runs
PersistentKeepalive wg keepalive off seconds between packets that keep a NAT open, or off
Description tunlite text none a name for people
"""


def _rows(table):
    """Rows (section, name, whose, kind, default, help)."""
    section = ""
    rows = []
    for line in table.split("\n"):
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            rows.append((section,) + tuple(line.split(" ", 4)))
    return rows


KEYS = _rows(_TABLE)

_SECTIONS = ("Interface", "Peer")
_HOOKS = ("PreUp", "PostUp", "PreDown", "PostDown")
_SPACES = b" \t\r\v\f"


class Config:
    """A file that was read.

    interface: dict of the options that were set (a list for list kinds), by the table's names.
    peers: list of such dicts; each has "line" too, the line of its [Peer].
    errors, warnings: rows (line or 0, option or "", what is wrong, what to do), in file order.
    """

    def __init__(self, path):
        self.path = path
        self.interface = {}
        self.peers = []
        self.errors = []
        self.warnings = []
        self.holds_secret = False  # a private or preshared key stands in it, good or bad

    def wipe(self):
        """Zeroes every secret; the configuration is of no use to a tunnel afterwards."""
        for section in [self.interface] + self.peers:
            for name in ("PrivateKey", "PresharedKey"):
                if name in section:
                    keys.wipe(section[name])

    def lines_of(self, rows):
        """Rows of errors or warnings as lines of text."""
        return [format_row(self.path, row) for row in rows]


class ConfigError(Exception):
    """A file with errors; args[0] is the list of its lines of text."""


def _line_of(row):
    return row[0]


def format_row(path, row):
    line, option, wrong, fix = row
    place = f"{path}:{line}: " if line else f"{path}: "
    return place + (f"{option}: " if option else "") + wrong + "; " + fix


def read(path, features=None):
    """Config of a file, with its errors in it. OSError when it cannot be read.

    `features`: the core's names ("engine mmsg", "aead portable", offloads), None: not checked.
    """
    fd = port.open_read(path)
    try:
        config = _parse_and_wipe(keys.read_all(fd), path, features)
    finally:
        port.close(fd)
    refusal = None
    if config.holds_secret or any([name in config.interface for name in _HOOKS]):
        refusal = keys.file_refusal(path, config.holds_secret)
    if refusal:
        wrong, fix = refusal.split("; ")
        config.errors.insert(0, (0, "", wrong, fix))
    return config


def load(path, features=None):
    """Config of a file without errors; ConfigError, OSError."""
    return _without_errors(read(path, features))


def read_fd(fd, path, features=None):
    """Config of what a descriptor gives until its end, as `load`."""
    return _without_errors(_parse_and_wipe(keys.read_all(fd), path, features))


def _parse_and_wipe(buffer, path, features):
    try:
        return parse(buffer, path, features)
    finally:
        keys.wipe(buffer)


def _without_errors(config):
    if config.errors:
        config.wipe()
        raise ConfigError(config.lines_of(config.errors))
    return config


def parse(buffer, path, features=None):
    """Config of the bytes of a file; never raises."""
    return _Parser(path, features).parse(buffer)


class _Parser:
    def __init__(self, path, features):
        self.config = Config(path)
        self.features = features
        self.section = None  # the dict that options go to
        self.name = ""  # of the section
        self.line = 0
        self.seen = {}  # option -> line, in this section

    def parse(self, buffer):
        at = 3 if buffer[:3] == b"\xef\xbb\xbf" else 0  # a byte order mark
        while at < len(buffer):
            end = buffer.find(b"\n", at)
            if end < 0:
                end = len(buffer)
            self.line += 1
            line = _trimmed(buffer[at:end])
            if line:
                self._take(line)
            keys.wipe(line)
            at = end + 1
        self._finish_peer()
        self._compare_peers()
        self.config.errors.sort(key=_line_of)
        return self.config

    def _error(self, option, wrong, fix, line=0):
        self.config.errors.append((line or self.line, option, wrong, fix))

    def _warn(self, option, wrong, fix, line=0):
        self.config.warnings.append((line or self.line, option, wrong, fix))

    def _take(self, line):
        if line[0] == 91:  # [
            self._begin_section(_as_text(line))
            return
        at = line.find(b"=")
        if at < 1:
            self._error(
                "", "this line is neither a [Section] nor an Option = value", "correct or remove it"
            )
            return
        name = _as_text(_trimmed(line[:at]))
        value = _trimmed(line[at + 1 :])
        self._option(name or "", value)
        keys.wipe(value)

    def _begin_section(self, text):
        self._finish_peer()
        self.section = None
        self.seen = {}
        for name in _SECTIONS:
            if text is not None and text.lower() == "[" + name.lower() + "]":
                self.name = name
                self.section = self.config.interface
                if name == "Peer":
                    self.section = {"line": self.line}
                    self.config.peers.append(self.section)
                return
        self.name = ""
        near = _nearest(_SECTIONS, (text or "").strip("[]"))
        fix = f"did you mean [{near}]?" if near else "sections are [Interface] and [Peer]"
        self._error("", "this section is not known", fix)

    def _option(self, name, value):
        if self.section is None:
            if not self.name and not self.config.errors:
                self._error(
                    _printable(name), "it stands before any section", "begin with [Interface]"
                )
            return
        row = _find(self.name, name)
        if row is None:
            self._unknown(name)
            return
        _, option, _, kind, _, _ = row
        try:
            parsed = self._parse_value(kind, value)
        except values.Bad as e:
            self._error(option, e.args[0], e.args[1])
            return
        if kind in values.LISTS:
            self.section.setdefault(option, []).extend(parsed)
        elif option in self.seen:
            self._error(
                option, f"it was set in line {self.seen[option]} already", "keep one of the two"
            )
        else:
            self.section[option] = parsed
        if option not in self.seen:
            self.seen[option] = self.line
        if option == "SaveConfig" and parsed:
            self._warn(option, "tunlite never writes its configuration", "remove it")
        self._check_features(option, parsed)

    def _parse_value(self, kind, value):
        if kind in values.SECRETS:
            self.config.holds_secret = True
            return values.parse_secret(value)
        text = _as_text(value)
        if text is None:
            raise values.Bad("it is not UTF-8", "write it anew")
        if not text and kind not in ("allowed", "hook", "prefixes", "text"):
            raise values.Bad("there is no value", "write one, or remove the line")
        return values.PARSERS[kind](text)

    def _unknown(self, name):
        for section, option, _, _, _, _ in KEYS:
            if section != self.name and option.lower() == name.lower():
                fix = f"move it under [{section}]"
                self._error(option, f"it does not belong under [{self.name}]", fix)
                return
        near = _nearest([row[1] for row in KEYS if row[0] == self.name], name)
        fix = f"did you mean {near}?" if near else "tunlite check --keys lists the known ones"
        self._error(_printable(name), "this option is not known", fix)

    def _check_features(self, option, parsed):
        """Engine, AEAD and Offloads name what the C core has."""
        kind = {"Engine": "engine ", "AEAD": "aead ", "Offloads": ""}.get(option)
        if self.features is None or kind is None:
            return
        for word in parsed if isinstance(parsed, list) else [parsed]:
            if kind + word not in self.features and word not in ("auto", "off"):
                fix = "tunlite probe lists what there is"
                self._error(option, values.quoted(word) + " is not known", fix)

    def _finish_peer(self):
        if self.name == "Peer" and self.section is not None and "PublicKey" not in self.section:
            line = self.section["line"]
            if not self._has_error_for("PublicKey", line):
                self._error("PublicKey", "this peer has none", "add its public key", line)

    def _has_error_for(self, option, first_line):
        return any([row[1] == option and row[0] >= first_line for row in self.config.errors])

    def _compare_peers(self):
        """Two peers must not have one key; of one prefix only the last peer gets the packets."""
        lines = {}
        owners = {}
        for peer in self.config.peers:
            key = peer.get("PublicKey")
            if key is not None and key in lines:
                wrong = f"the peer of line {lines[key]} has the same key"
                self._error("PublicKey", wrong, "join the two sections", peer["line"])
            lines[key] = peer["line"]
            for prefix in peer.get("AllowedIPs", ()):
                if owners.get(prefix, key) != key:
                    wrong = "another peer above has one of these prefixes too and loses it"
                    self._warn("AllowedIPs", wrong, "give each prefix to one peer", peer["line"])
                owners[prefix] = key


def _trimmed(line):
    """A new bytearray: the bytes before a #, without white space around them."""
    end = line.find(b"#")
    if end < 0:
        end = len(line)
    start = 0
    while start < end and line[start] in _SPACES:
        start += 1
    while end > start and line[end - 1] in _SPACES:
        end -= 1
    return line[start:end]


def _as_text(line):
    """str of UTF-8 bytes without control characters, None where they are not."""
    try:
        text = bytes(line).decode("utf-8")
    except UnicodeError:
        return None
    for char in text:
        if ord(char) < 32 and char != "\t":
            return None
    return text


def _printable(name):
    """An option's name for a message, "" where it may be something secret."""
    if len(name) > 24:
        return ""
    for char in name:
        if not (char.isalpha() or char.isdigit()):
            return ""
    return name


def _find(section, name):
    for row in KEYS:
        if row[0] == section and row[1].lower() == name.lower():
            return row
    return None


def _distance(a, b):
    """Edits (insert, delete, replace) between two words."""
    row = list(range(len(b) + 1))
    for i in range(len(a)):
        before = row
        row = [i + 1]
        for j in range(len(b)):
            change = before[j] + (a[i] != b[j])
            row.append(min(change, before[j + 1] + 1, row[j] + 1))
    return row[-1]


def _nearest(known, name):
    """The known name at most two edits away, or None."""
    best = (3, None)
    if len(name) > 24:
        return None
    for candidate in known:
        edits = _distance(name.lower(), candidate.lower())
        if edits < best[0] and edits < len(candidate) // 2:
            best = (edits, candidate)
    return best[1]
