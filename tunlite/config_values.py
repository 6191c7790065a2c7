# SPDX-License-Identifier: MIT
"""The kinds of values in a configuration file: text in, value out; pure.

A parser takes str and returns the value, or raises Bad(what is wrong, what to do). List kinds
return a list, which lines of the same option extend.
"""

from tunlite import addresses, keys

LISTS = ("prefixes", "allowed", "dns", "hook", "features")
SECRETS = ("secret",)
_TABLES = {"main": 254, "default": 253, "local": 255}


class Bad(ValueError):
    """args: what is wrong, what to do about it."""


def quoted(text):
    """The text in quotes, but never something that may be a key put into the wrong place."""
    run = 0
    for char in text:
        run = run + 1 if addresses.is_word(char, "+/=") else 0
        if run > 40:
            return "this value (not shown: it looks like a key)"
    return '"' + text + '"'


def _number(text, least, most, fix):
    if not addresses.is_number(text) or len(text) > 10 or not least <= int(text) <= most:
        raise Bad(quoted(text) + f" is not a number from {least} to {most}", fix)
    return int(text)


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
    return _number(text, 0, 65535, "choose a port, 0 for any")


def _mark(text):
    if text.lower() == "off":
        return 0
    digits = text[2:].lower() if text[:2].lower() == "0x" else text
    base = 16 if digits is not text else 10
    for char in digits:
        if char not in "0123456789abcdef"[:base]:
            digits = ""
    if not digits or len(digits) > 10 or int(digits, base) > 0xFFFFFFFF:
        raise Bad(quoted(text) + " is no mark", "write a number up to 0xffffffff, or off")
    return int(digits, base)


def _prefix(text):
    try:
        return addresses.parse_prefix(text)
    except ValueError:
        raise Bad(quoted(text) + " is no address", "write it as 10.0.0.1/24 or fd00::1/64")


def _pieces(text):
    pieces = [piece.strip(" \t") for piece in text.split(",")]  # ASCII alone, on both interpreters
    return [piece for piece in pieces if piece]


def _prefixes(text):
    if not _pieces(text):
        raise Bad("there is no address", "write one, or remove the line")
    return [_prefix(piece) for piece in _pieces(text)]


def _allowed(text):
    return [addresses.network(_prefix(piece)) for piece in _pieces(text)]


def _dns(text):
    """Rows (server or None, search domain or None)."""
    rows = []
    for piece in _pieces(text):
        try:
            family, packed = addresses.parse_address(piece)
            rows.append((addresses.format_address(family, packed), None))
        except ValueError:
            if not addresses.is_word(piece, "-._"):
                raise Bad(
                    quoted(piece) + " is no address and no domain",
                    "write addresses of servers and names of search domains",
                )
            rows.append((None, piece))
    return rows


def _mtu(text):
    """0 for auto."""
    if text.lower() == "auto":
        return 0
    return _number(text, 576, 65535, "write bytes, 1420 for instance; IPv6 needs 1280 or more")


def _table(text):
    """0 for off, None for auto, else the number."""
    word = text.lower()
    if word == "off":
        return 0
    if word == "auto":
        return None
    if word in _TABLES:
        return _TABLES[word]
    return _number(text, 1, 0xFFFFFFFF, "write auto, off, main or the number of a table")


def _keepalive(text):
    if text.lower() == "off":
        return 0
    return _number(text, 0, 65535, "write seconds, 25 for instance, or off")


def _endpoint(text):
    """The text, checked; names are resolved later."""
    try:
        host, _ = addresses.split_endpoint(text)
        addresses.literal_endpoint(text)
    except ValueError as e:
        raise Bad(quoted(text) + ": " + e.args[0], "write host:port or [IPv6 address]:port")
    if not addresses.is_word(host, "-._:%"):
        raise Bad(quoted(host) + " is no host name", "write a name or an address")
    return text


def _hook(text):
    if not text:
        raise Bad("there is no command", "write one, or remove the line")
    return [text]


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
    if text != "3":
        raise Bad(quoted(text) + " is no layer", "write 3; 2 is reserved and not built yet")
    return 3


def _folder(text):
    if not text.startswith("/") or "\0" in text:
        raise Bad(quoted(text) + " is no absolute path", "write a folder that begins with /")
    return text


def _text(text):
    if len(text) > 128:
        raise Bad("it is longer than 128 characters", "shorten it")
    return text


PARSERS = {
    "public": _public,
    "port": _port,
    "mark": _mark,
    "prefixes": _prefixes,
    "allowed": _allowed,
    "dns": _dns,
    "mtu": _mtu,
    "table": _table,
    "keepalive": _keepalive,
    "endpoint": _endpoint,
    "hook": _hook,
    "bool": _bool,
    "word": _word,
    "features": _features,
    "batch": _batch,
    "workers": _workers,
    "memory": _memory,
    "slots": _slots,
    "rekey": _rekey,
    "layer": _layer,
    "folder": _folder,
    "text": _text,
}
