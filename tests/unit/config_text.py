# SPDX-License-Identifier: MIT
"""A file's text in, and what the parser and a daemon's lines make of it: for tests of options."""

import base64

from tunlite.config import as_uapi, parser, secret_text


def key(number):
    """A public key, as a file has it."""
    return base64.b64encode(bytes([number]) * 31 + b"\x40").decode()


A, B = key(1), key(2)
HEX_A, HEX_B = (base64.b64decode(key).hex() for key in (A, B))


def parse(text):
    """The Config of a file `f`."""
    return parser.parse(secret_text.Text([bytearray(text.encode())]), "f")


def errors(text):
    """The lines that `check` would print of it."""
    return parse(text).lines_of(parse(text).errors)


def lines(pieces):
    """What a daemon is sent, line by line."""
    return b"".join([bytes(piece) for piece in pieces]).decode().splitlines()


def running(*rows):
    """A daemon's answer to get=1."""
    return as_uapi.Running([row.encode().split(b"=", 1) for row in rows])
