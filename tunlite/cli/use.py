# SPDX-License-Identifier: MIT
"""`tunlite use`: moves a group over to one of its members, and waits until that is done."""

import binascii

from tunlite import keys
from tunlite.errors import UserError
from tunlite.system import port
from tunlite.uapi import client

_LOOK_MS = 100


class UseError(UserError):
    """The group does not move there."""


def _find(name, wanted):
    """The row of the one peer that this text means: its public key or Description."""
    found = []
    status = client.status(name)
    next(status)
    for peer in status:
        if peer["public_key"] == wanted:
            found = [peer]
            break
        if peer.get("description") == wanted:
            found.append(peer)
    status.close()
    if len(found) != 1:
        many = "several peers are" if found else "no peer of it is"
        raise UseError(f"{name}: {many} called {wanted}; tunlite show {name} lists their keys")
    if "standby" not in found[0]:
        raise UseError(f"{name}: {wanted} is in no group with a Limit")
    return found[0]


def _group(name, wanted):
    status = client.status(name)
    try:
        rows = [group for group in next(status)["groups"] if group["name"] == wanted]
    finally:
        status.close()
    if not rows:
        raise UseError(f"{name}: the group {wanted} has gone")
    return rows[0]


def use(name, wanted):
    """UseError, and what client.py raises."""
    if wanted == "auto":
        client.set_device(name, [bytearray(b"use=auto\n")])
        return
    peer = _find(name, wanted)
    key = binascii.hexlify(keys.parse_public(peer["public_key"]))
    client.set_device(name, [bytearray(b"public_key=" + key + b"\nuse=true\n")])
    while True:
        group = _group(name, peer["group"])
        if group["used"] == peer["public_key"]:
            return
        if group["moving_to"] != peer["public_key"]:
            raise UseError(f"{name}: {wanted} does not answer; the group stays where it was")
        port.sleep_ms(_LOOK_MS)
