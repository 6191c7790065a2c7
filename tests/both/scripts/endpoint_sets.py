# SPDX-License-Identifier: MIT
"""Rounds of several endpoints, and what a resolver's child may answer."""

from binascii import hexlify

from tunlite import endpoints
from tunlite.control import resolver, whereabouts


class Native:
    def tl_wipe(self, buffer, size):
        pass


def record(text):
    family, address, number, _ = endpoints.literal(text)
    return endpoints.record(family, address, number)[:24]


TEXTS = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[fd00::1]:1", "[fd00::2]:1", "10.0.0.4:1"]
where = whereabouts.Whereabouts()
where.settled([record(text) for text in TEXTS], Native())
places = where.places
for current in ("10.0.0.2:1", "[fd00::9]:7", "10.0.0.2:1"):
    here = record(current) + bytes(24)
    now_ms = max(1 << 33, places.first_ms())
    places.begin(here, True)
    for step in range(30):
        place, when_ms = places.next(here, now_ms)
        print(
            step, place and endpoints.text(place.record + bytes(24)), when_ms and when_ms - now_ms
        )
        if not when_ms:
            break
        if place is None:
            now_ms = when_ms
        elif step == 2:
            places.stayed(place)
        else:
            places.left(place, now_ms)
    print(places.first_ms() - now_ms)
    places.end()
where.settled([record(text) for text in TEXTS[2:4]], Native())
print([place.sent_ms > 0 for place in where.places.rows])
where.settled([record(TEXTS[0])], Native())
print(where.places)

for line in (
    b'[[4, "c0000201", 5, 0], [6, "20010db8000000000000000000000001", 65535, 4294967295]]',
    b'[[4, "c0000201", 5, 0], [4, "c0000201", 5, 0]]',
    ("[" + ", ".join([f'[4, "c00002{n:02x}", 5, 0]' for n in range(40)]) + "]").encode(),
    b'[[4, "c0000201", "5", 0]]',
    b'[[4, "c0000201", 5, null]]',
    b'[[4, "c0000201", 0, 0]]',
    b'["c"]',
    b"7",
):
    try:
        print([hexlify(found).decode() for found in resolver.endpoints_of(line)])
    except (ValueError, TypeError):
        print("refused", line)
