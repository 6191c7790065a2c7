# SPDX-License-Identifier: MIT
"""A progress bar on a terminal; elsewhere one line per step."""

import shutil
import sys

_WIDTH = 24


class Progress:
    """`steps` is [(key, weight), ...]; weights are expected seconds, roughly."""

    def __init__(self, steps, stream=None):
        self._stream = stream or sys.stderr
        self._steps = dict(steps)
        self._whole = sum(self._steps.values())
        self._done = 0.0
        self._current = None
        self._text = ""
        self._is_terminal = self._stream.isatty()

    def step(self, key, text):
        """Begins a step; the one before is done."""
        if self._current is not None:
            self._done += self._steps[self._current]
        self._current, self._text = key, text
        if not self._is_terminal:
            print(text, file=self._stream, flush=True)
        self.advance(0)

    def advance(self, fraction):
        """How much of the current step is done, 0..1."""
        if not self._is_terminal:
            return
        share = (self._done + self._steps[self._current] * min(fraction, 1)) / self._whole
        bar = "#" * round(share * _WIDTH)
        line = f"[{bar:<{_WIDTH}}] {share:4.0%} {self._text}"
        self._stream.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._stream.flush()

    def close(self):
        """Clears the line."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
