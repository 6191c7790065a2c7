# SPDX-License-Identifier: MIT
"""Waits for what another process does."""

from tunlite.system import port


def wait_until(condition, patience_ms):
    deadline = port.now_ms() + patience_ms
    pause_ms = 1
    while not condition():
        if port.now_ms() > deadline:
            return False
        port.sleep_ms(pause_ms)
        pause_ms = min(2 * pause_ms, 20)
    return True
