# SPDX-License-Identifier: MIT
"""The time in handshakes, and the timers: whole numbers beyond 32 bits on every machine."""

from binascii import hexlify

from tunlite.control import timers
from tunlite.protocol import schedule, stamp

for ns in (0, 1, 999_999_999, 1_700_000_000_123_456_789, (1 << 62) + 5, 4_102_444_800 * 10**9):
    print(ns, hexlify(stamp.tai64n(ns)).decode())

order = []
queue = timers.Timers()
several = [timers.Timer(lambda now, i=i: order.append((i, now))) for i in range(20)]
for i, timer in enumerate(several):
    queue.set(timer, (1 << 33) + (i * 7919) % 20)
queue.set(several[3], None)
queue.set(several[4], (1 << 33) + 100)
print(queue.next() - (1 << 33))
for step in range(0, 120, 7):
    queue.run((1 << 33) + step)
print([(i, now - (1 << 33)) for i, now in order])

seed = 1
for _ in range(200):
    numbers = []
    for _ in range(15):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        numbers.append(seed % 200_000 if seed & 0x10000 else 0)
    print(schedule.due(100_000, tuple(numbers[:6]), tuple(numbers[6:])))
