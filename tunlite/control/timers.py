# SPDX-License-Identifier: MIT
"""One heap of timers.

Timers do not remember what they are for: their callbacks do.
"""

import heapq


class Timer:
    """Calls `callback(now_ms)`."""

    def __init__(self, callback):
        self.timer_ms = None  # when it wants to expire; None: never
        self.timer_queued = None  # its earliest entry in the heap
        self.callback = callback

    def expired(self, now_ms):
        self.callback(now_ms)

    def timer_set(self, when_ms):
        self.timer_ms = when_ms

    def timer_pushed(self, when_ms):
        """None: its entry is out of the heap."""
        self.timer_queued = when_ms


class Timers:
    """The heap. A deadline that moves later costs nothing until its earlier entry surfaces."""

    def __init__(self):
        self._heap = []
        self._serial = 0

    def set(self, timer, when_ms):
        """Moves the timer's deadline; None cancels it."""
        timer.timer_set(when_ms)
        if when_ms is None:
            return
        if timer.timer_queued is None or when_ms < timer.timer_queued:
            self._push(timer, when_ms)

    def _push(self, timer, when_ms):
        # The serial number decides between equal times: timers themselves do not compare.
        self._serial = (self._serial + 1) & 0x3FFFFFFF
        timer.timer_pushed(when_ms)
        heapq.heappush(self._heap, (when_ms, self._serial, timer))

    def next(self):
        """When the next timer expires, or None. Entries of timers that moved are replaced first."""
        heap = self._heap
        while heap:
            when_ms, _, timer = heap[0]
            if timer.timer_queued == when_ms and timer.timer_ms == when_ms:
                return when_ms
            heapq.heappop(heap)
            if timer.timer_queued == when_ms:
                timer.timer_pushed(None)
                if timer.timer_ms is not None:
                    self._push(timer, timer.timer_ms)
        return None

    def run(self, now_ms, is_long=None):
        """Expires what is due, each timer once; what is left when is_long() stays due."""
        for _ in range(len(self._heap)):
            when_ms = self.next()
            if when_ms is None or when_ms > now_ms:
                return
            timer = heapq.heappop(self._heap)[2]
            timer.timer_set(None)
            timer.timer_pushed(None)
            timer.expired(now_ms)
            if is_long is not None and is_long():
                return
