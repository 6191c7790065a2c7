# SPDX-License-Identifier: MIT
"""What is frozen into the executable; MicroPython's makemanifest.py reads this."""

import os

_ROOT = os.environ["TUNLITE_ROOT"]
_ELSEWHERE = ("cpython", "fake")  # other ports, by the start of a file's name


def _modules():
    for folder, folders, files in os.walk(os.path.join(_ROOT, "tunlite")):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(_ELSEWHERE):
                yield os.path.relpath(os.path.join(folder, name), _ROOT)


freeze(os.path.join(_ROOT, "micropython"), "_start.py", opt=2)  # noqa: F821
freeze(_ROOT, tuple(_modules()), opt=2)  # noqa: F821
