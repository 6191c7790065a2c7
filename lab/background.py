# SPDX-License-Identifier: MIT
"""Something that happens again and again beside a test."""

import contextlib
import threading


@contextlib.contextmanager
def repeated(step, every_s, inside=None):
    """While the block lasts, a thread waits so long and calls step(), over and over. `inside`: the
    namespace that the thread is in."""
    ended = threading.Event()

    def body():
        while not ended.wait(every_s):
            step()

    thread = threading.Thread(target=inside.inside if inside else body, args=[body] * bool(inside))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
