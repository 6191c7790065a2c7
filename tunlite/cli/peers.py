# SPDX-License-Identifier: MIT
"""What `tunlite add`, `remove`, `block` and `unblock` send to a daemon: one peer, by its key."""

import binascii

from tunlite import keys
from tunlite.config import as_uapi, options, parser, secret_text, values
from tunlite.errors import UsageError, UserError
from tunlite.system import port
from tunlite.uapi import client

_WHY = {
    2: {
        "remove_peer": "it has no such peer",
        "unblock": "this key is not blocked",
    },
    17: {"add": "this peer is one of its file or of the folder of peers: change it there"},
    28: {
        "block": "the list of blocked keys could not be written, or is full: no space left; the"
        " daemon's log says whether the key is blocked until it ends"
    },
}


class PeerError(UserError):
    """The peer could not be changed."""


def public_of(text):
    """The bytes of a public key on the command line."""
    try:
        return keys.parse_public(text)
    except ValueError as e:
        raise UsageError("KEY is no public key: " + e.args[0])


def tell(name, what, request):
    """Sends it; a refusal in the words of the command `what`."""
    try:
        client.set_device(name, request)
    except client.Refused as e:
        why = _WHY.get(e.number, {}).get(what)
        raise PeerError(f"{name}: {why}") if why else e


def one_key(name, what, text):
    """A line of UAPI that has a key alone: remove_peer, block, unblock."""
    digits = binascii.hexlify(public_of(text))
    tell(name, what, [bytearray(what.encode() + b"=" + digits + b"\n")])


def _line_of(word):
    """OPTION=VALUE of the command line as a line of a file."""
    name = values.bare(word.partition("=")[0]).lower()
    for row in options.rows():
        if row[options.SECTION] == "Peer" and row[options.NAME].lower() == name:
            if row[options.KIND] in values.SECRETS:
                raise UsageError("a secret is read from a file: --preshared-key FILE")
            if name == "publickey":
                raise UsageError("KEY stands alone, behind NAME")
    if "\n" in word or "#" in word:
        raise UsageError(values.quoted(word.partition("=")[0]) + " has a # or a new line in it")
    return bytearray(word.encode() + b"\n")


def _preshared(path):
    """Pieces of the line of a preshared key that a file, or stdin (-), holds."""
    try:
        fd = 0 if path in ("-", "/dev/stdin") else port.open_read(path)
        try:
            chars = secret_text.read_all(fd)
        finally:
            if fd:
                port.close(fd)
    except OSError as e:
        raise PeerError(f"{path} cannot be read: {port.strerror(e.args[0])}")
    end = chars.find(b"\n")
    if end >= 0 and bytes(chars[end:]).strip():
        keys.wipe(chars)
        raise PeerError(f"{path} holds more than a preshared key")
    return [bytearray(b"PresharedKey="), chars, bytearray(b"\n")]


def described(key, words, secret_path=None):
    """Config of one peer, by the file's own parser; its Group is one of the daemon's, which knows
    whether there is such a one. UsageError, PeerError."""
    pieces = [bytearray(b"[Peer]\nPublicKey=" + keys.text(public_of(key)).encode() + b"\n")]
    pieces += [_line_of(word) for word in words]
    if secret_path is not None:
        pieces += _preshared(secret_path)
    config = parser.Config("tunlite add", secret_text.Text(pieces))
    for _ in parser.sections(config):
        pass
    for _, option, wrong, fix in config.warnings:
        port.print_err(f"tunlite: warning: {option}: {wrong}; {fix}")
    if config.errors:
        config.wipe()
        raise UsageError(
            "\n".join(
                [f"{option or 'a word'}: {row[0]}; {row[1]}" for _, option, *row in config.errors]
            )
        )
    return config


def add(name, key, words, secret_path=None):
    config = described(key, words, secret_path)
    try:
        tell(name, "add", as_uapi.one_more(config))
    finally:
        config.wipe()
