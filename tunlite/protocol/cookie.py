# SPDX-License-Identifier: MIT
"""The two macs of our own handshake messages, and the cookies we are sent (protocol.md, "Cookies").

Judging the macs of others and sending cookies is C's work. A `jar` has
`sent_mac1` (bytes 16 or None: no message waits for a cookie), `cookie` (bytearray 16 or None) and
`cookie_ms` (when it came); a Peer is one.
"""

from tunlite.protocol import noise, wire


def add_macs(port, message, public, jar, now_ms):
    """Fills in mac1 and, with a fresh cookie, mac2 of a message to the owner of `public`.

    The macs are the last 32 bytes of the bytearray `message`. Source: paper 5.4.4.
    """
    native = port.native
    mac1 = bytearray(wire.MAC_SIZE)
    end = len(message) - 2 * wire.MAC_SIZE
    key = noise.mac1_key(port, public)
    native.tl_blake2s(mac1, 16, key, 32, memoryview(message)[:end], end)
    message[end : end + 16] = mac1
    jar.sent_mac1 = bytes(mac1)
    if jar.cookie is None:
        return
    if now_ms - jar.cookie_ms >= wire.COOKIE_VALID_MS:
        forget(port, jar)
        return
    end += wire.MAC_SIZE
    mac2 = bytearray(wire.MAC_SIZE)
    native.tl_blake2s(mac2, 16, jar.cookie, 16, memoryview(message)[:end], end)
    message[end : end + 16] = mac2


def consume(port, message, public, jar, now_ms):
    """Takes the cookie out of a reply from the owner of `public`; False where it is not authentic.

    One reply is taken for each message sent. Source: paper 5.4.7.
    """
    if jar.sent_mac1 is None:
        return False
    view = memoryview(message)
    cookie = bytearray(wire.MAC_SIZE)
    key = noise.cookie_key(port, public)
    nonce = view[wire.COOKIE_NONCE : wire.COOKIE_SEALED]
    sealed = view[wire.COOKIE_SEALED : wire.COOKIE_SIZE]
    code = port.native.tl_open(cookie, 16, key, nonce, 24, jar.sent_mac1, 16, sealed, 32)
    if code != 0:
        return False
    forget(port, jar)
    jar.cookie = cookie
    jar.cookie_ms = now_ms
    jar.sent_mac1 = None
    return True


def forget(port, jar):
    """The cookie is wiped."""
    if jar.cookie is not None:
        port.native.tl_wipe(jar.cookie, wire.MAC_SIZE)
    jar.cookie = None
