# SPDX-License-Identifier: MIT
"""The kinds of values in a configuration file: text in, value out; pure, but that names of ports
and of routing tables are looked up in the system's lists.

A parser takes str and returns the value, or raises Bad(what is wrong, what to do). List kinds
return a list, which lines of the same option extend.
"""

from tunlite import addresses, endpoints, keys
from tunlite.system import port

LISTS = ("prefixes", "allowed", "dns", "hook", "features", "macs")
SECRETS = ("secret",)
MAY_BE_EMPTY = ("allowed", "dns", "hook", "mtu", "prefixes", "table", "text")
SERVICES = "/etc/services"
_ENDPOINTS_TEXT = 900  # they are told to the daemon in one line
TABLES = "/etc/iproute2/rt_tables"
_TABLES = {"main": 254, "default": 253, "local": 255}


class Bad(ValueError):
    """args: what is wrong, what to do about it."""


LIFETIME_MOST = 366 * 86400


def quoted(text):
    """The text in quotes, but never something that may be a key put into the wrong place."""
    run = 0
    for char in text:
        run = run + 1 if addresses.is_word(char, "+/=") else 0
        if run > 40:
            return "this value (not shown: it looks like a key)"
    return '"' + text + '"'


def bare(text):
    """Without blanks: wg takes all of them out of a line."""
    return text.replace(" ", "").replace("\t", "")


def doubt(kind, text, parsed):
    """(what is odd, what to write) about a value that wg or wg-quick take, or None."""
    if not text and kind not in ("allowed", "text"):
        return "there is no value", "write one, or remove the line"
    if kind == "mtu" and 0 < parsed < 576:
        return "it is less than 576", "hosts need not take packets so short; IPv6 needs 1280"
    if kind == "endpoint" and parsed.replace(",", ", ") != text and parsed != text:
        return "it is read as " + quoted(parsed.replace(",", ", ")), "write it so"
    if kind in ("port", "mark", "keepalive", "public") and bare(text) != text:
        return "blanks in it are left out", "remove them"
    return None


def _listed(path):
    """Lists of words of the lines of a file of the system's, without comments; none where it is
    not there."""
    try:
        text = port.read_file(path).decode()
    except (OSError, ValueError):
        return
    for line in text.split("\n"):
        yield line.split("#")[0].split()


def _port_number(text):
    """The digits of a port's name; other text is left as it is."""
    if addresses.is_number(text) or not addresses.is_word(text, "-_"):
        return text
    for words in _listed(SERVICES):
        if len(words) > 1 and words[1].endswith("/udp") and text in words[:1] + words[2:]:
            return words[1][:-4]
    return text


def _unsigned(text, octal):
    """The number of digits, of hex digits after 0x, and of octal ones after 0 where ip(8) reads
    them so; -1 for none, or one of more than 32 bits."""
    base = 16 if text[:2].lower() == "0x" else 8 if octal and text[:1] == "0" else 10
    digits = text[2:].lower() if base == 16 else text
    for char in digits:
        if char not in "0123456789abcdef"[:base]:
            return -1
    digits = digits.lstrip("0") or digits[:1]
    if not digits or len(digits) > 11 or int(digits, base) > 0xFFFFFFFF:
        return -1
    return int(digits, base)


def _number(text, least, most, fix):
    number = _unsigned(text, False) if addresses.is_number(text) else -1
    if not least <= number <= most:
        raise Bad(quoted(text) + f" is not a number from {least} to {most}", fix)
    return number


def parse_secret(chars):
    """A bytearray of 32 bytes from the base64 in a bytearray."""
    try:
        return keys.decode(chars)
    except ValueError as e:
        raise Bad(e.args[0], "make one with: tunlite genkey (or genpsk)")


def _public(text):
    try:
        return keys.parse_public(text)
    except (ValueError, UnicodeError) as e:
        wrong = e.args[0] if isinstance(e, ValueError) and len(e.args) == 1 else "it is not base64"
        raise Bad(wrong, "ask the peer for its public key (tunlite pubkey makes it)")


def _port(text):
    return _number(_port_number(text), 0, 65535, "choose a port, 0 for any")


def _mark(text):
    if text.lower() == "off":
        return 0
    number = _unsigned(text, False)
    if number < 0:
        raise Bad(quoted(text) + " is no mark", "write a number up to 0xffffffff, or off")
    return number


def _prefix(text):
    try:
        return addresses.parse_prefix(text)
    except ValueError:
        raise Bad(quoted(text) + " is no address", "write it as 10.0.0.1/24 or fd00::1/64")


def _pieces(text):
    """What commas and blanks part: ASCII ones alone, on both interpreters."""
    return [piece for piece in text.replace("\t", " ").replace(",", " ").split(" ") if piece]


def _with_bits(text):
    """10.0.0.1/255.255.255.0 as 10.0.0.1/24; other text as it is."""
    address, _, mask = text.partition("/")
    try:
        value = int.from_bytes(addresses.parse_address(mask)[1], "big")
    except ValueError:
        return text
    for bits in range(33):
        if value == 0xFFFFFFFF << 32 - bits & 0xFFFFFFFF:
            return f"{address}/{bits}"
    return text


def _prefixes(text):
    return [_prefix(_with_bits(piece)) for piece in _pieces(text)]


def _allowed(text):
    return [addresses.network(_prefix(piece)) for piece in _pieces(text)]


def _dns(text):
    """Rows (server or None, search domain or None)."""
    rows = []
    for piece in _pieces(text):
        try:
            address, percent, scope = piece.partition("%")
            family, packed = addresses.parse_address(address)
            rows.append((addresses.format_address(family, packed) + percent + scope, None))
        except ValueError:
            if not addresses.is_word(piece, "-._~") or addresses.is_number(piece.replace(".", "")):
                raise Bad(
                    quoted(piece) + " is no address and no domain",
                    "write addresses of servers and names of search domains",
                )
            rows.append((None, piece))
    return rows


def _mtu(text):
    """0 for auto."""
    if text.lower() in ("", "auto"):
        return 0
    number = _unsigned(text, True)
    if not 68 <= number <= 65535:
        wrong = quoted(text) + " is not a number from 68 to 65535"
        raise Bad(wrong, "write bytes, 1420 for instance; IPv6 needs 1280 or more")
    return number


def _path_mtu(text):
    """0 for auto."""
    how = "write auto, or the bytes of an outer IP packet"
    return 0 if text.lower() == "auto" else _number(text, 576, 65535, how)


def _macs(text):
    """Texts, in their usual form."""
    return [_mac(piece) for piece in _pieces(text) or [text]]


def _mac(text):
    try:
        return addresses.format_mac(addresses.parse_mac(text))
    except ValueError:
        wrong = quoted(text) + " is no Ethernet address of one device"
        raise Bad(wrong, "write addresses as 02:00:5e:10:00:01, with commas")


def _table(text):
    """0 for off, None for auto, else the number."""
    word = text.lower()
    if word == "off":
        return 0
    if word in ("", "auto"):
        return None
    number = _TABLES.get(word) or _unsigned(text, True)
    if number < 0:
        for words in _listed(TABLES):
            if words[1:2] == [text]:
                number = _unsigned(words[0], True)
    if number < 0:
        how = "write auto, off, main or the number of a table up to 0xffffffff"
        raise Bad(quoted(text) + " is no table", how)
    return number or 254  # the kernel's 0 is its main table


def _keepalive(text):
    if text.lower() == "off":
        return 0
    return _number(text, 0, 65535, "write seconds, 25 for instance, or off")


def _count(text):
    if text.lower() == "off":
        return 0
    return _number(text, 1, 65_000, "write a number, 500 for instance, or off")


def _lifetime(text):
    if text.lower() == "off":
        return 0
    return _number(text, 1, LIFETIME_MOST, "write seconds, 86400 for instance, or off")


def _endpoint(text):
    """The text as UAPI has it, checked; names of hosts are resolved later."""
    host, _, number = text.rpartition(":")
    number = _port_number(number).lstrip("0")
    if ":" in host and host[0] != "[":
        host = "[" + host + "]"
    told = text
    if host and number:
        text = host + ":" + number
    try:
        host, _ = endpoints.split(text)
        endpoints.literal(text)
    except ValueError as e:
        raise Bad(quoted(told) + ": " + e.args[0], "write host:port or [IPv6 address]:port")
    if not addresses.is_word(host, "-._:%"):
        raise Bad(quoted(host) + " is no host name", "write a name or an address")
    return text


def _endpoints(text):
    """The texts of all, with a comma between two."""
    texts = text.split(",")
    found = ",".join([_endpoint(one) for one in texts])
    if len(texts) > endpoints.MOST or len(found) > _ENDPOINTS_TEXT:
        raise Bad("these are too many endpoints", f"write {endpoints.MOST} at most")
    return found


def _hook(text):
    return [text] if text else []


def _bool(text):
    word = text.lower()
    if word not in ("true", "false"):
        raise Bad(quoted(text) + " is neither true nor false", "write true or false")
    return word == "true"


def _word(text):
    if not addresses.is_word(text, "-_."):
        raise Bad(quoted(text) + " is no name", "write one word")
    if not text or len(text) > 23:
        raise Bad("a name has 1 to 23 letters", "write one word")
    return text


def _name(text):
    if not addresses.is_word(text, "-_.") or len(text) > 32:
        raise Bad(quoted(text) + " is no name", "write 1 to 32 letters, digits, - _ or .")
    return text


def _rate(text):
    """Bits a second of "5M", "800K" or a plain number; 0 for off."""
    if text.lower() == "off":
        return 0
    unit = {"k": 1000, "m": 1000000, "g": 1000000000}.get(text[-1:].lower(), 1)
    digits = text if unit == 1 else text[:-1]
    if (
        not addresses.is_number(digits)
        or len(digits) > 13
        or not 1000 <= int(digits) * unit <= 1000000000000
    ):
        raise Bad(quoted(text) + " is no rate", "write off, or bits a second: 1K to 1000G")
    return int(digits) * unit


def _limit(text):
    return _number(text, 1, 65000, "write 1, or leave the line out")


def _choose(text):
    word = text.lower()
    if word not in ("order", "random", "nearest"):
        raise Bad(quoted(text) + " is no rule", "write order, random or nearest")
    return word


def _seconds(text):
    return _number(text, 1, 600, "write seconds, 1 to 600")


def _address(text):
    """As text, in its usual form."""
    try:
        return addresses.format_address(*addresses.parse_address(text))
    except ValueError:
        raise Bad(quoted(text) + " is no address", "write one of the inside, fd00::1 for instance")


def _features(text):
    """Names of features to switch off; [] for auto, ["off"] for all offloads."""
    words = [_word(piece.lower()) for piece in _pieces(text)]
    return [] if words == ["auto"] else words


def _batch(text):
    return 0 if text.lower() == "auto" else _number(text, 1, 256, "write auto, or 1 to 256 packets")


def _workers(text):
    return 0 if text.lower() == "auto" else _number(text, 1, 8, "write auto, or 1 to 8 threads")


def _memory(text):
    """Bytes of "512K", "8M" or a plain number; 0 for auto."""
    if text.lower() == "auto":
        return 0
    unit = {"k": 1024, "m": 1048576}.get(text[-1:].lower(), 1)
    digits = text if unit == 1 else text[:-1]
    if (
        not addresses.is_number(digits)
        or len(digits) > 10
        or not 262144 <= int(digits) * unit <= 1 << 30
    ):
        raise Bad(quoted(text) + " is no size", "write auto, or 256K to 1024M")
    return int(digits) * unit


def _slots(text):
    """(receives, sends) of "8" or "8, 32", each a power of two; () for auto."""
    if text.lower() == "auto":
        return ()
    how = "write auto, or one or two of 1, 2, 4, 8, 16, 32 and 64"
    numbers = [_number(piece, 1, 64, how) for piece in _pieces(text)]
    if not 1 <= len(numbers) <= 2 or any([number & number - 1 for number in numbers]):
        raise Bad(quoted(text) + " is no number of slots", how)
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0)


def _rekey(text):
    return _number(text, 5, 120, "write seconds, 5 to 120")


def _layer(text):
    return _number(text, 2, 3, "write 3 for IP packets, 2 for Ethernet frames")


def _modes(text):
    """The text as UAPI has it."""
    from tunlite.protocol import layer

    words = ",".join(_pieces(text.lower()))
    try:
        layer.modes_of(words)
    except ValueError:
        how = "write on, authentic or off, or several with commas, the one to ask for first"
        raise Bad(quoted(text) + " is no list of modes", how)
    return words


def _encapsulation(text):
    word = text.lower()
    if word not in ("none", "vxlan"):
        raise Bad(quoted(text) + " is none that is known", "write vxlan, or remove the line")
    return word if word == "vxlan" else None


def _vni(text):
    """A number, or the text of a seed, in lower case."""
    how = "write a number up to 16777215, or the site's domain_seed, 64 hex digits"
    if len(text) != 64:
        return _number(text, 0, (1 << 24) - 1, how)
    if text.lower().strip("0123456789abcdef"):
        raise Bad(quoted(text) + " is no domain_seed", how)
    return text.lower()


def _dialect(text):
    word = text.lower()
    if word not in ("gluon", "munich", "plain"):
        raise Bad(quoted(text) + " is no dialect", "write gluon, munich or plain")
    return word


def _vxlan_port(text):
    return 0 if text.lower() == "auto" else _number(text, 1, 65535, "write auto, or a port")


def _folder(text):
    if not text.startswith("/") or "\0" in text:
        raise Bad(quoted(text) + " is no absolute path", "write a folder that begins with /")
    return text


def _socket(text):
    if len(_folder(text).encode()) > 107:
        raise Bad(quoted(text) + " is too long", "write a path of at most 107 bytes")
    return text


def _switch(text):
    word = text.lower()
    if word not in ("on", "off"):
        raise Bad(quoted(text) + " is neither on nor off", "write on or off")
    return word == "on"


def _text(text):
    if len(text) > 128:
        raise Bad("it is longer than 128 characters", "shorten it")
    if [char for char in text if char < " " or "\x7f" <= char <= "\x9f"]:
        raise Bad("it has a control character, as a tab is, in it", "write a blank")
    return text


PARSERS = {
    "public": _public,
    "port": _port,
    "mark": _mark,
    "prefixes": _prefixes,
    "allowed": _allowed,
    "dns": _dns,
    "mtu": _mtu,
    "path_mtu": _path_mtu,
    "macs": _macs,
    "table": _table,
    "keepalive": _keepalive,
    "endpoint": _endpoints,
    "hook": _hook,
    "bool": _bool,
    "word": _word,
    "name": _name,
    "rate": _rate,
    "limit": _limit,
    "choose": _choose,
    "seconds": _seconds,
    "address": _address,
    "engine": _word,
    "aead": _word,
    "features": _features,
    "batch": _batch,
    "workers": _workers,
    "memory": _memory,
    "slots": _slots,
    "rekey": _rekey,
    "lifetime": _lifetime,
    "count": _count,
    "layer": _layer,
    "modes": _modes,
    "encapsulation": _encapsulation,
    "vni": _vni,
    "dialect": _dialect,
    "vxlan_port": _vxlan_port,
    "folder": _folder,
    "socket": _socket,
    "switch": _switch,
    "text": _text,
}
