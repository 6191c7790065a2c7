# SPDX-License-Identifier: MIT
"""Configuration files: WireGuard's INI as wg(8) and wg-quick(8) read it, and some keys of our own.

options.py has the table of what may stand in one. Reading never stops at the first error:
`Config.errors` has them all, or the first hundred. No error holds a secret, and secrets go from the
file's bytes into bytearrays, never into a str. Of a thousand peers only the file's text is kept: a
peer is parsed when it is reached.
"""

from tunlite import addresses, keys
from tunlite.config import layers, membership, options, secret_text, settings, values
from tunlite.system import port

# What is needed of them to read a file.
_ROWS = {
    (row[options.SECTION], row[options.NAME].lower()): row[: options.DEFAULT]
    for row in options.rows()
}
for _section, _alias, _name in options.ALIASES:
    _ROWS[_section, _alias] = _ROWS[_section, _name]
_PEER = options.names("Peer")
_HOOKS = options.names("Interface", options.KIND, "hook")
_SECRETS = [row[options.NAME] for row in options.rows() if row[options.KIND] in values.SECRETS]
_NAMED_BY_CORE = {"engine": "engine ", "aead": "aead ", "features": ""}  # kind -> how C's begin
_SPACES = b" \t\r\v\f"
_MOST_ERRORS = 100  # a file of another kind would fill a router's heap with its lines
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Config:
    """A file that was read.

    interface: dict of the options that were set (a list for list kinds), by the table's names.
    settings: the same with the defaults of what was not, a settings.Settings.
    peers: a Peers, of such dicts; each has "line" too, the line of its [Peer].
    groups: a list of such dicts, of the [Group] sections.
    errors, warnings: rows (line or 0, option or "", what is wrong, what to do), in file order.
    """

    def __init__(self, path, text):
        self.path = path
        self.interface = {}
        self.settings = None
        self.peers = Peers(text)
        self.groups = []
        self.errors = []
        self.warnings = []
        self.noted = []  # rows (line, option, value) of what layers.py looks at
        self.holds_secret = False  # a private or preshared key stands in it, good or bad
        self.bare = False  # addresses, routes and so on are a supervisor's
        self.readable_ok = False  # everyone may read it where its mount is read-only

    def run_by_root(self):
        """Names of what is set that takes a runner of commands."""
        set_there = [self.interface] + self.groups
        return [n for n in options.RUN_BY_ROOT if any([n in section for section in set_there])]

    def wipe(self):
        """Zeroes every secret; the configuration is of no use to a tunnel afterwards."""
        _wipe(self.interface)
        self.peers.wipe()

    def lines_of(self, rows):
        """Rows of errors or warnings as lines of text."""
        return [format_row(self.path, row) for row in rows]


def _wipe(section):
    for name in _SECRETS:
        keys.wipe(section.get(name))


class Peers:
    """The [Peer] sections, each parsed when it is reached: its secret is wiped before the next.

    One with our own public key is left out: in one list for all nodes each finds itself.
    """

    def __init__(self, text):
        self.text = text
        self.count = 0
        self.own = None  # our public key
        self.last = {}  # key of a peer with several sections -> line of its last

    def __len__(self):
        return self.count

    def __iter__(self):
        return self.each(_PEER)

    def each(self, names):
        """Every peer, with only the options of `names`."""
        if not self.last:
            return self._sections(names)
        taken = self._taken() if "AllowedIPs" in names else {}
        return _joined(self._sections(names), self.last, taken)

    def _sections(self, names):
        config = Config("", self.text)
        config.peers.own = self.own
        return _Parser(config, None, list(names) + ["PublicKey"]).peers()

    def _taken(self):
        """network -> line of a section that takes it from those above, and which a later section
        of its key replaces: as wg sends them, nobody has it then."""
        taken = {}
        for peer in self._sections(("AllowedIPs",)):
            if peer["line"] < self.last.get(peer.get("PublicKey"), 0):
                for prefix in peer.get("AllowedIPs", []):
                    taken[prefix] = peer["line"]
        return taken

    def wipe(self):
        self.count = 0
        self.text.wipe()


def _joined(peers, last, taken):
    """Sections of one key as one peer, where the last of them stands. As wg sends them one after
    the other, later options win, AllowedIPs are the last section's alone, and what was `taken` of
    it meanwhile is gone, but from a group's member, who may share."""
    kept = {}
    try:
        for peer in peers:
            key = peer.get("PublicKey")
            before = kept.pop(key, {})
            before.pop("AllowedIPs", None)
            for option, value in before.items():
                if peer.setdefault(option, value) is not value and option in _SECRETS:
                    keys.wipe(value)
            if peer["line"] == last.get(key, peer["line"]):
                if taken and "AllowedIPs" in peer and "Group" not in peer:
                    peer["AllowedIPs"] = _left(peer, taken)
                yield peer
                continue
            kept[key] = {
                name: bytearray(value) if name in _SECRETS else value
                for name, value in peer.items()
            }
    finally:
        for peer in kept.values():
            _wipe(peer)


def _left(peer, taken):
    """Its AllowedIPs but those that a section below it took."""
    line = peer["line"]
    return [p for p in peer["AllowedIPs"] if taken.get(p, 0) < line]


class ConfigError(Exception):
    """A file with errors; args[0] is the list of its lines of text."""


def format_row(path, row):
    line, option, wrong, fix = row
    place = f"{path}:{line}: " if line else f"{path}: "
    return place + (f"{option}: " if option else "") + wrong + "; " + fix


def read(path, features=None, readable_ok=False):
    """Config of a file, or of stdin ("-"), with its errors in it. OSError when it cannot be read.

    `features`: the core's names ("engine mmsg", "aead portable", offloads), None: not checked.
    `readable_ok`: others may read its keys where its mount is read-only, which is a warning then.
    """
    if path in ("-", "/dev/stdin"):
        return parse(secret_text.read_text(0), "stdin", features)
    fd = port.open_read(path)
    try:
        config = parse(secret_text.read_text(fd), path, features)
    finally:
        port.close(fd)
    config.readable_ok = readable_ok
    refusal = None
    runs = config.run_by_root() or [name for name in _HOOKS if name in config.interface]
    if config.holds_secret or runs:
        refusal = secret_text.file_refusal(path, config.holds_secret)
    if not refusal and config.run_by_root():
        refusal = secret_text.owner_refusal(path)
    if refusal:
        wrong, fix = refusal.split("; ", 1)
        taken = readable_ok and " may write " not in wrong and secret_text.on_read_only_mount(path)
        (config.warnings if taken else config.errors).insert(0, (0, "", wrong, fix))
    return config


def load(path, features=None, readable_ok=False, first=False):
    """Config of a file without errors; ConfigError, OSError. Only at `first` it may be a pipe:
    nobody writes to that again, and we would wait for ever."""
    if not first and not secret_text.is_file(port.stat(path)[0]):
        raise OSError(22, path + " is no regular file")
    config = read(path, features, readable_ok)
    if config.errors:
        config.wipe()
        raise ConfigError(config.lines_of(config.errors))
    return config


def parse(text, path, features=None, own=None):
    """Config of a secret_text.Text, kept; never raises. `own`: our public key, once known."""
    config = Config(path, text)
    config.peers.own = own
    parser = _Parser(config, features, None)
    owners = _Keys(parser)
    members = membership.Membership(parser)
    for peer in parser.peers():
        parser.finish_peer(peer)
        owners.compare(peer)
        members.note(peer)
    found = config.peers.own
    if own is None and found and found in owners.lines:
        # We stand above our own key: it is read anew, now that the key is known.
        _wipe(config.interface)
        return parse(text, path, features, found)
    config.settings = settings.Settings(config.interface)
    members.check()
    layers.check(parser)
    config.warnings.sort()
    config.errors.sort()  # by lines; whole rows, as MicroPython's sort does not keep an order
    return config


def sections(config):
    """Each [Peer] of a Config's text, compared with nothing; errors go into the config."""
    parser = _Parser(config, None, None)
    for peer in parser.peers():
        parser.finish_peer(peer)
        yield peer


class _Parser:
    """One pass over the text: the interface's options go into `config`, peers are handed out."""

    def __init__(self, config, features, only):
        self.config = config
        self.features = features
        self.only = only  # the options to parse; None: all
        self.section = None  # the dict that options go to
        self.name = ""  # of the section
        self.line = 0
        self.seen = {}  # option -> line, in this section

    def peers(self):
        """Each peer's dict when its section has ended; the caller takes copies of secrets."""
        for line in self.config.peers.text.lines():
            self.line += 1
            if len(self.config.errors) > _MOST_ERRORS:
                self.error("", "there are too many errors to tell more", "correct these first")
                return
            trimmed_line = trimmed(
                line[3:] if self.line == 1 and line[:3] == BYTE_ORDER_MARK else line
            )
            if trimmed_line:
                if trimmed_line[0] == 91:  # [
                    yield from self._finished()
                    self._begin_section(_as_text(trimmed_line))
                else:
                    self._take(trimmed_line)
            keys.wipe(trimmed_line)
        yield from self._finished()

    def _finished(self):
        if self.name == "Group" and self.section is not None:
            self.config.groups.append(self.section)
        if self.name == "Peer" and self.section is not None:
            peer = self.section
            self.section = None
            try:
                if peer.get("PublicKey", b"") == self.config.peers.own:
                    fix = "that is right in one list for all nodes"
                    self.warn("PublicKey", "it is our own: left out", fix, peer["line"])
                else:
                    yield peer
            finally:
                _wipe(peer)

    def error(self, option, wrong, fix, line=0):
        self.config.errors.append((line or self.line, option, wrong, fix))

    def warn(self, option, wrong, fix, line=0):
        if len(self.config.warnings) < _MOST_ERRORS:
            self.config.warnings.append((line or self.line, option, wrong, fix))

    def _take(self, line):
        at = line.find(b"=")
        if at < 1:
            self.error(
                "", "this line is neither a [Section] nor an Option = value", "correct or remove it"
            )
            return
        name = _as_text(trimmed(line[:at])) or ""
        rest = line[at + 1 :]
        value = trimmed(rest)
        keys.wipe(rest)
        self._option(values.bare(name), value)
        keys.wipe(value)

    def _begin_section(self, text):
        self.section = None
        self.seen = {}
        text = values.bare(text or "")
        for name in options.SECTIONS:
            if text.lower() == "[" + name.lower() + "]":
                self.name = name
                self.section = self.config.interface
                if name != "Interface":
                    self.section = {"line": self.line}
                return
        self.name = ""
        near = nearest(options.SECTIONS, text.strip("[]"))
        fix = f"did you mean [{near}]?" if near else "sections are [Interface], [Group] and [Peer]"
        self.error("", "this section is not known", fix)

    def _option(self, name, value):
        if self.section is None:
            if not self.name and not self.config.errors:
                self.error(
                    _printable(name), "it stands before any section", "begin with [Interface]"
                )
            return
        row = _ROWS.get((self.name, name.lower()))
        if row is None:
            self._unknown(name)
            return
        option, kind = row[options.NAME], row[options.KIND]
        if self.only is not None and option not in self.only:
            return
        try:
            parsed = self._parse_value(option, row[options.WHOSE], kind, value)
        except values.Bad as e:
            self.error(option, e.args[0], e.args[1])
            return
        if kind in values.LISTS:
            self.section.setdefault(option, []).extend(parsed)
        else:
            self._set(option, kind, parsed)
        self.seen[option] = self.line
        few = self.section is self.config.interface or len(self.config.noted) < _MOST_ERRORS
        if few and layers.is_noted(option, parsed):
            self.config.noted.append((self.line, option, parsed))
        self._check_features(option, kind, parsed)

    def _set(self, option, kind, parsed):
        """The last one counts, as it does for wg and wg-quick."""
        if option in self.seen:
            wrong = f"it was set in line {self.seen[option]} already: the last one counts"
            self.warn(option, wrong, "keep one of the two")
        if kind in values.SECRETS:
            keys.wipe(self.section.get(option))
        self.section[option] = parsed
        if option == "PrivateKey":
            self.config.peers.own = bytes(keys.public_of(parsed))

    def _parse_value(self, option, whose, kind, value):
        if kind in values.SECRETS:
            self.config.holds_secret = True
            return self._parse_secret(option, value)
        text = _as_text(value)
        if text is None:
            raise values.Bad("it is not UTF-8", "write it anew")
        if not text and kind not in values.MAY_BE_EMPTY:
            raise values.Bad("there is no value", "write one, or remove the line")
        parsed = values.PARSERS[kind](values.bare(text) if whose == "wg" else text)
        odd = values.doubt(kind, text, parsed)
        if odd is not None:
            self.warn(option, odd[0], odd[1])
        return parsed

    def _parse_secret(self, option, value):
        bare = bytearray(value)
        end = 0
        for char in value:
            if char not in _SPACES:
                bare[end] = char
                end += 1
        short = bare[:end]
        try:
            parsed = values.parse_secret(short)
        finally:
            keys.wipe(bare)
            keys.wipe(short)
        if end < len(value):
            self.warn(option, "blanks in it are left out", "remove them")
        return parsed

    def _unknown(self, name):
        for section in options.SECTIONS:
            row = _ROWS.get((section, name.lower()))
            if row and row[options.NAME].lower() == name.lower():
                fix = f"move it under [{section}]"
                self.error(row[options.NAME], f"it does not belong under [{self.name}]", fix)
                return
        near = nearest(options.names(self.name), name)
        fix = f"did you mean {near}?" if near else "tunlite check --keys lists the known ones"
        self.error(_printable(name), "this option is not known", fix)

    def _check_features(self, option, kind, parsed):
        """Engine, AEAD and Offloads name what the C core has."""
        begin = _NAMED_BY_CORE.get(kind)
        if self.features is None or begin is None:
            return
        for word in parsed if isinstance(parsed, list) else [parsed]:
            if begin + word not in self.features and word not in ("auto", "off"):
                fix = "tunlite probe lists what there is"
                self.error(option, values.quoted(word) + " is not known", fix)

    def finish_peer(self, peer):
        """The end of a peer's section: is there what it must have?"""
        if "PublicKey" not in peer and not self.has_error_for("PublicKey", peer["line"]):
            self.error("PublicKey", "this peer has none", "add its public key", peer["line"])

    def has_error_for(self, option, first_line):
        return any([row[1] == option and row[0] >= first_line for row in self.config.errors])


class _Keys:
    """Sections of one key are one peer."""

    def __init__(self, parser):
        self._parser = parser
        self.lines = {}  # public key -> line of its peer

    def compare(self, peer):
        line = peer["line"]
        key = peer.get("PublicKey")
        peers = self._parser.config.peers
        if key is not None and key in self.lines:
            wrong = f"the peer of line {self.lines[key]} has the same key: what differs is taken"
            fix = "join the two sections"
            self._parser.warn("PublicKey", wrong + " from here, all AllowedIPs too", fix, line)
            peers.last[key] = line
        else:
            peers.count += 1
        self.lines[key] = line


def trimmed(line):
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
    return name if len(name) <= 24 and addresses.is_word(name, "") else ""


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


def nearest(known, name):
    """The known name at most two edits away, or None."""
    best = (3, None)
    if len(name) > 24:
        return None
    for candidate in known:
        edits = _distance(name.lower(), candidate.lower())
        if edits < best[0] and edits < len(candidate) // 2:
            best = (edits, candidate)
    return best[1]
