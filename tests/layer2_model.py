# SPDX-License-Identifier: MIT
"""A second implementation of layer 2's wire, slow and from docs/protocol.md alone, which shares no
line with tunlite/ and native/. It makes tests/vectors/layer2.txt:

python -m tests.layer2_model
"""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.unit import noise_oracle

PATH = Path(__file__).parent / "vectors" / "layer2.txt"
CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"tunlite L2 v1"
MODES = ("on", "authentic", "off")
WHOLE, PART, CONTROL = 0, 1, 2
ECHO, ECHO_ANSWER, PATH_PROBE, PATH_ANSWER, BYE = range(5)
PARTS_MOST = 8


class Refused(Exception):
    """The argument says why."""


# ---- handshakes ------------------------------------------------------------------------------


def said(version, mode, longest):
    return bytes([version, mode]) + longest.to_bytes(2, "little")


def heard(four):
    if len(four) != 4 or four[0] == 0:
        raise Refused("no version")
    return four[0], four[1] & 3, int.from_bytes(four[2:], "little")


def with_macs(message, to):
    """Without a cookie. `to`: the receiver's public key."""
    key = hashlib.blake2s(b"mac1----" + to).digest()
    return message + hashlib.blake2s(message, key=key, digest_size=16).digest() + bytes(16)


class Handshake:
    """Both ends' messages, of `numbers`: whatever is drawn or configured, by name."""

    def __init__(self, numbers):
        n = self.numbers = numbers
        _, responder = noise_oracle.keypair(n["responder_private"])
        _, initiator = noise_oracle.keypair(n["initiator_private"])
        names = (CONSTRUCTION, IDENTIFIER)
        a = noise_oracle.Party("initiator", *names, n["initiator_private"], n["psk"], responder)
        b = noise_oracle.Party("responder", *names, n["responder_private"], n["psk"])
        inside = a.write(n["stamp"] + n["asked"], n["initiator_ephemeral"])
        message = b"\x01\0\0\0" + n["initiator_index"] + inside
        self.initiation = with_macs(message, responder)
        assert b.read(inside) == n["stamp"] + n["asked"]
        answer = b.write(n["answered"], n["responder_ephemeral"])
        message = b"\x02\0\0\0" + n["responder_index"] + n["initiator_index"] + answer
        self.response = with_macs(message, initiator)
        assert a.read(answer) == n["answered"]
        self.initiator_key, self.responder_key = a.split()
        assert (len(self.initiation), len(self.response)) == (152, 96)


# ---- data ------------------------------------------------------------------------------------


def cut(frame, room):
    """The frame as it stands in datagrams, each with its two bytes: whole where it is not longer
    than `room`, else in the fewest parts that are not."""
    if len(frame) <= room:
        return [bytes([WHOLE, 0]) + frame]
    count = -(-len(frame) // room)
    if count > PARTS_MOST:
        raise Refused("too long")
    size = -(-len(frame) // count)
    fill = count * size - len(frame)
    frame += bytes(fill)
    parts = []
    for i in range(count):
        is_last = i == count - 1
        about = i | (8 | fill << 4 if is_last else 0)
        parts.append(bytes([PART, about]) + frame[i * size : (i + 1) * size])
    return parts


def join(parts):
    """The frame that all of these are, in their order."""
    frame = b""
    for i, part in enumerate(parts):
        about = part[1]
        is_last = i == len(parts) - 1
        if part[0] != PART or about & 0x80 or about & 7 != i or len(part) != len(parts[0]):
            raise Refused("not the next part")
        if bool(about & 8) != is_last or (about >> 4 and not is_last):
            raise Refused("not where the last one is")
        frame += part[2:]
    fill = parts[-1][1] >> 4
    if fill >= len(parts) or any(frame[len(frame) - fill :]):
        raise Refused("filled with something")
    return frame[: len(frame) - fill]


def datagram(mode, key, index, counter, inside):
    """`inside` begins with the two bytes, or is empty: a keepalive. `index`: the receiver's."""
    header = bytes([4 + mode, 0, 0, 0]) + index + counter.to_bytes(8, "little")
    nonce = bytes(4) + counter.to_bytes(8, "little")
    aead = ChaCha20Poly1305(key)
    if MODES[mode] == "on":
        return header + aead.encrypt(nonce, inside, b"")
    if MODES[mode] == "authentic":
        return header + inside + aead.encrypt(nonce, b"", inside)
    return header + inside


def read(mode, key, message):
    """(counter, inside) of a datagram of a session of this mode."""
    if message[0] not in (4, 4 + mode):
        raise Refused("wrong mode")
    if message[1:4] != bytes(3):
        raise Refused("not zero")
    counter = int.from_bytes(message[8:16], "little")
    nonce = bytes(4) + message[8:16]
    body = message[16:]
    try:
        if message[0] == 4:
            inside = ChaCha20Poly1305(key).decrypt(nonce, body, b"")
        elif message[0] == 5:
            inside = body[:-16]
            ChaCha20Poly1305(key).decrypt(nonce, body[-16:], inside)
        else:
            inside = body
    except (InvalidTag, ValueError):
        raise Refused("not authentic") from None
    if inside:
        judge(inside, message[0] == 4)
    elif message[0] != 4:
        raise Refused("no keepalive")
    return counter, inside


def judge(inside, is_sealed):
    """Refuses what no inside is."""
    if len(inside) < 2 or inside[0] > CONTROL:
        raise Refused("of no kind")
    if inside[0] == WHOLE and (inside[1] or len(inside) < 16):
        raise Refused("no frame")
    if inside[0] == PART and (inside[1] & 0x80 or (inside[1] >> 4 and not inside[1] & 8)):
        raise Refused("no part")
    if inside[0] == CONTROL:
        size = len(inside) - 2
        sizes = {ECHO: 8, ECHO_ANSWER: 8, PATH_PROBE: max(size, 4), PATH_ANSWER: 8, BYE: 0}
        if not is_sealed or sizes.get(inside[1]) != size:
            raise Refused("no control frame")


def control(what, body=b""):
    return bytes([CONTROL, what]) + body


# ---- vectors ---------------------------------------------------------------------------------


def drawn(name, size=32):
    """Bytes that look random and are the same everywhere."""
    out = b""
    while len(out) < size:
        out += hashlib.blake2s(name.encode() + bytes([len(out) // 32])).digest()
    return out[:size]


def drawn_frame(name, size):
    """From one host to another, so that a bridge takes it."""
    frame = bytearray(drawn(name, size))
    frame[0] = frame[6] = 2
    return bytes(frame)


HEAD = """\
# Source: docs/protocol.md, "Layer 2", by tests/layer2_model.py, which writes this file
# [handshake]: what is drawn and configured, then both messages as they leave and both keys; `asked`
# and `answered` are the four bytes. [frame]: `count` datagrams of equal length, one behind the
# other, that carry the frame where `room` bytes of it fit in one; `counter` is the first one's.
# [control]: `inside` is what is sealed. [refused]: what a session of that mode drops, though its
# tag, where it has one, is right.
"""


def _record(kind, **values):
    lines = [f"\n[{kind}]\n"]
    for name, value in values.items():
        text = value.hex() if isinstance(value, bytes) else str(value)
        if len(text) <= 64:
            lines.append(f"{name} = {text}\n")
        else:
            rows = [text[i : i + 64] for i in range(0, len(text), 64)]
            lines.append(f"{name} =\n" + "".join([f"    {row}\n" for row in rows]))
    return "".join(lines)


def _handshake(where, asked, answered, psk):
    names = ("initiator_private", "responder_private", "initiator_ephemeral", "responder_ephemeral")
    numbers = {name: drawn(f"{where} {name}") for name in names}
    numbers |= {"psk": psk, "initiator_index": drawn(where, 4), "asked": asked}
    numbers |= {"responder_index": drawn(where + " back", 4), "answered": answered}
    numbers["stamp"] = bytes.fromhex("400000006b006ad22a000000")
    made = Handshake(numbers)
    made = {name: value for name, value in vars(made).items() if name != "numbers"}
    return _record("handshake", where=where, **numbers, **made)


HANDSHAKES = (
    ("accepted", said(1, 1, 1554), said(1, 1, 1522), bytes(32)),
    ("refused: the responder takes on alone", said(1, 1, 1554), said(1, 0, 1522), bytes(32)),
    (
        "a later version, bits that nobody knows",
        said(7, 0xFE, 65535),
        said(2, 0xFE, 0),
        drawn("psk"),
    ),
)
FRAMES = ((14, 1400), (42, 1400), (1514, 1514), (1546, 1400), (3001, 600))


def _frame(mode, size, room, counter):
    where = f"{size} bytes, {MODES[mode]}"
    key, index, frame = drawn("key"), drawn("index", 4), drawn_frame(where, size)
    inside = cut(frame, room)
    sent = [datagram(mode, key, index, counter + i, part) for i, part in enumerate(inside)]
    assert len({len(one) for one in sent}) == 1
    numbers = {"mode": bytes([mode]), "key": key, "index": index, "counter": counter}
    numbers |= {"room": room, "frame": frame, "count": len(sent)}
    return _record("frame", where=where, **numbers, datagrams=b"".join(sent))


CONTROLS = (
    ("keepalive", b""),
    ("echo", control(ECHO, drawn("number", 8))),
    ("answer to it", control(ECHO_ANSWER, drawn("number", 8))),
    ("path probe", control(PATH_PROBE, drawn("probe", 4) + bytes(40))),
    ("answer to it", control(PATH_ANSWER, drawn("probe", 4) + (78).to_bytes(4, "little"))),
    ("bye", control(BYE)),
)
FRAME = drawn_frame("frame", 60)
REFUSED = (
    (0, 5, "wrong mode", bytes(2) + FRAME),
    (0, 6, "wrong mode", bytes(2) + FRAME),
    (1, 6, "wrong mode", bytes(2) + FRAME),
    (2, 5, "wrong mode", bytes(2) + FRAME),
    (1, 5, "control frames are sealed", control(BYE)),
    (2, 6, "control frames are sealed", control(ECHO, bytes(8))),
    (1, 5, "a keepalive is sealed", b""),
    (2, 6, "a keepalive is sealed", b""),
    (0, 4, "one byte", b"\0"),
    (0, 4, "no kind", b"\3\0" + FRAME),
    (0, 4, "a whole frame has a second byte of zero", b"\0\1" + FRAME),
    (0, 4, "13 bytes are no frame", bytes(2) + FRAME[:13]),
    (0, 4, "bit 7 of a part", b"\1\x80" + FRAME),
    (0, 4, "what is filled up before the last part", b"\1\x10" + FRAME),
    (0, 4, "an echo of 7 bytes", control(ECHO, bytes(7))),
    (0, 4, "an answer of 9 bytes", control(PATH_ANSWER, bytes(9))),
    (0, 4, "a path probe without its number", control(PATH_PROBE, bytes(3))),
    (0, 4, "a bye that says more", control(BYE, b"\0")),
    (0, 4, "no control frame of ours", control(5, bytes(8))),
)


def _refused(mode, kind, where, inside):
    key, index = drawn("key"), drawn("index", 4)
    message = datagram(kind - 4, key, index, 7, inside)
    values = {"mode": bytes([mode]), "key": key, "index": index, "datagram": message}
    return _record("refused", where=f"{where}, in {MODES[mode]}", **values)


def render():
    parts = [HEAD]
    parts += [_handshake(*row) for row in HANDSHAKES]
    counter = 0
    for size, room in FRAMES:
        for mode in range(3):
            parts.append(_frame(mode, size, room, counter))
            counter += 11
    key, index = drawn("key"), drawn("index", 4)
    for i, (where, inside) in enumerate(CONTROLS):
        message = datagram(0, key, index, 2**40 + i, inside)
        values = {"key": key, "index": index, "counter": 2**40 + i, "inside": inside}
        parts.append(_record("control", where=where, **values, datagram=message))
    parts += [_refused(*row) for row in REFUSED]
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(render())
