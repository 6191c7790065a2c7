# SPDX-License-Identifier: MIT
"""What OnVerify's command, which takes a stranger, may say of him: lines as in a [Peer]."""

from tunlite import keys
from tunlite.config import as_uapi, parser, secret_text, values

# The one list of them.
OPTIONS = ("AllowedIPs", "PresharedKey", "Description", "Group", "RateIn", "RateOut", "Lifetime")
OPTIONS += ("MACs",)
_TEXT_MAX = 8000  # of UAPI: what the daemon reads at once


class Bad(Exception):
    """args[0]: what is wrong with it; never a secret."""


def uapi_of(public, output, groups):
    """A peer's lines as UAPI text, a bytearray to be wiped; `groups`: names that there are."""
    head = bytearray(f"[Peer]\nPublicKey = {keys.text(public)}\n".encode())
    body = bytearray(output)
    text = secret_text.Text([head, body])
    try:
        _check_names(secret_text.Text([body]))
        return _read(text, groups)
    finally:
        text.wipe()


def _check_names(text):
    known = [name.lower() for name in OPTIONS]
    for number, line in enumerate(text.lines(), 1):
        trimmed = parser.trimmed(line)
        name = bytes(trimmed[: max(trimmed.find(b"="), 0)])
        empty = not trimmed
        keys.wipe(trimmed)
        try:
            known_one = values.bare(name.decode()).lower() in known
        except ValueError:
            known_one = False
        if not empty and not known_one:
            raise Bad(f"line {number} is none of {', '.join(OPTIONS)}")


def _read(text, groups):
    out = bytearray(_TEXT_MAX)
    size = 0
    config = parser.Config("", text)
    for peer in parser.sections(config):
        if peer.get("Group", "") and peer["Group"] not in groups:
            raise Bad("no [Group] has the Name " + values.quoted(peer["Group"]))
        for piece in as_uapi.said(peer):
            if size + len(piece) <= _TEXT_MAX:
                out[size : size + len(piece)] = piece
            size += len(piece)
            keys.wipe(piece)
    if config.errors or size > _TEXT_MAX:
        keys.wipe(out)
        row = config.errors[0] if config.errors else (0, "AllowedIPs", "there are too many", "")
        raise Bad(f"{row[1]}: {row[2]}")
    found = out[:size]
    keys.wipe(out)
    return found
