# SPDX-License-Identifier: MIT
"""The two macs of our own handshake messages, and the cookies we are sent (protocol.md, "Cookies").

Judging the macs of others and sending cookies is C's work.
"""

from tunlite.protocol import noise, wire


class Jar:
    """What one peer sends us to be let in under load. `public`: its key."""

    cookie = None  # bytearray 16
    cookie_ms = 0  # when it came

    def __init__(self):
        self.sent_mac1 = None  # bytes 16; None: no message waits for a cookie

    def add_macs(self, port, message, public, now_ms):
        """Fills in mac1 and, with a fresh cookie, mac2 of a message to the owner of `public`.

        The macs are the last 32 bytes of the bytearray `message`. Source: paper 5.4.4.
        """
        native = port.native
        mac1 = bytearray(wire.MAC_SIZE)
        end = len(message) - 2 * wire.MAC_SIZE
        key = noise.mac1_key(port, public)
        native.tl_blake2s(mac1, 16, key, 32, memoryview(message)[:end], end)
        message[end : end + 16] = mac1
        self.sent_mac1 = bytes(mac1)
        if self.cookie is None:
            return
        if now_ms - self.cookie_ms >= wire.COOKIE_VALID_MS:
            self.forget(native)
            return
        end += wire.MAC_SIZE
        mac2 = bytearray(wire.MAC_SIZE)
        native.tl_blake2s(mac2, 16, self.cookie, 16, memoryview(message)[:end], end)
        message[end : end + 16] = mac2

    def consume(self, port, message, public, now_ms):
        """Takes the cookie out of a reply from the owner of `public`; False: it is not authentic.

        One reply is taken for each message sent. Source: paper 5.4.7.
        """
        if self.sent_mac1 is None:
            return False
        view = memoryview(message)
        cookie = bytearray(wire.MAC_SIZE)
        key = noise.cookie_key(port, public)
        nonce = view[wire.COOKIE_NONCE : wire.COOKIE_SEALED]
        sealed = view[wire.COOKIE_SEALED : wire.COOKIE_SIZE]
        code = port.native.tl_open(cookie, 16, key, nonce, 24, self.sent_mac1, 16, sealed, 32)
        if code != 0:
            return False
        self.forget(port.native)
        self.cookie = cookie
        self.cookie_ms = now_ms
        self.sent_mac1 = None
        return True

    def forget(self, native):
        """The cookie is wiped."""
        if self.cookie is not None:
            native.tl_wipe(self.cookie, wire.MAC_SIZE)
            self.cookie = None
