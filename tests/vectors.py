# SPDX-License-Identifier: MIT
"""Reads tests/vectors/*.txt, on CPython and on MicroPython."""

from binascii import unhexlify

from tunlite.system import port

_DECIMAL = ("counter", "count", "room")


def _value(name, text):
    if name == "where":
        return text
    if name in _DECIMAL:
        return int(text)
    return unhexlify(text)


def read(path, kind=None):
    """Records of a vector file, as a list of dicts; only those of `kind` when it is given.

    Each has "kind", "where" (section of the source) and the values: bytes, or int where decimal.
    """
    records = []
    name = None
    for line in port.read_file(str(path)).decode().split("\n"):
        text = line.strip()
        if not text or text[0] == "#":
            continue
        if text[0] == "[":
            records.append({"kind": text[1:-1]})
        elif line[0] == " ":
            records[-1][name] += text
        else:
            name, _, text = text.partition("=")
            name = name.strip()
            records[-1][name] = text.strip()
    found = []
    for record in records:
        if kind is None or record["kind"] == kind:
            for name in record:
                if name != "kind":
                    record[name] = _value(name, record[name])
            found.append(record)
    return found
