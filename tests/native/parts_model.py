# SPDX-License-Identifier: MIT
"""Parts, cut and joined by lists and dicts; docs/protocol.md is what both follow."""

KEPT, COMPLETES, TWICE, BAD = range(4)
SPAN, OPEN_MAX, PARTS_MAX = 256, 4, 8


def cut(frame, room):
    """[(head, bytes)] of a frame, in the fewest parts; None: it would be more than eight."""
    n = -(-len(frame) // room)
    if n > PARTS_MAX:
        return None
    size = -(-len(frame) // n)
    padded = frame + bytes(n * size - len(frame))
    pieces = [padded[i * size : (i + 1) * size] for i in range(n)]
    heads = [*range(n - 1), n - 1 | 8 | (len(padded) - len(frame)) << 4]
    return list(zip(heads, pieces, strict=True))


class Open:
    """One frame that waits."""

    def __init__(self, session, first, sealed, size, number):
        self.key = (session, first, sealed)
        self.size = size
        self.number = number
        self.parts = {}
        self.n = None
        self.fill = 0


def is_sound(counter, head, data, frame_max):
    """What a part says of itself."""
    index, last, fill = head & 7, head & 8, head >> 4 & 7
    if head & 0x80 or not data or counter < index:
        return False
    so_far = (index + 1) * len(data)
    if not last:
        return fill == 0 and index < 7 and so_far < frame_max
    zeros = data[len(data) - fill :] == bytes(fill)
    return index > 0 and fill <= index and fill < len(data) and zeros and so_far - fill <= frame_max


class Store:
    """What waits, oldest first."""

    def __init__(self, places, frame_max):
        self.places = places
        self.frame_max = frame_max
        self.open = []
        self.full = self.lost = self.number = 0

    def of(self, session):
        return [f for f in self.open if f.key[0] == session]

    def throw(self, frame, why):
        self.open.remove(frame)
        setattr(self, why, getattr(self, why) + len(frame.parts))

    def passed(self, session, counter, sealed):
        for frame in self.of(session):
            _, first, was_sealed = frame.key
            if counter >= first + SPAN and (sealed or not was_sealed):
                self.throw(frame, "lost")

    def forget(self, session):
        for frame in self.of(session):
            self.throw(frame, "lost")

    def begin(self, key, size):
        mine = self.of(key[0])
        if len(mine) == OPEN_MAX:
            self.throw(mine[0], "full")
        if len(self.open) == self.places:
            self.throw(self.open[0], "full")
        self.number += 1
        self.open.append(Open(*key, size, self.number))
        return self.open[-1]

    def take(self, session, counter, sealed, head, data):
        """(verdict, the frame where it is complete)."""
        self.passed(session, counter, sealed)
        if not is_sound(counter, head, data, self.frame_max):
            return BAD, None
        index, last = head & 7, head & 8
        key = (session, counter - index, sealed)
        frame = next((f for f in self.open if f.key == key), None) or self.begin(key, len(data))
        if index in frame.parts:
            return TWICE, None
        agrees = max(frame.parts, default=0) < index if last else True
        if frame.n is not None:
            agrees = not last and index < frame.n
        if not agrees or len(data) != frame.size:
            self.throw(frame, "lost")
            return BAD, None
        frame.parts[index] = data
        if last:
            frame.n, frame.fill = index + 1, head >> 4 & 7
        if frame.n != len(frame.parts):
            return KEPT, None
        self.open.remove(frame)
        whole = b"".join(frame.parts[i] for i in range(frame.n))
        return COMPLETES, whole[: len(whole) - frame.fill]
