# SPDX-License-Identifier: MIT
"""What is frozen into the executable; MicroPython's makemanifest.py reads this."""

import os
import sys

_ROOT = os.environ["TUNLITE_ROOT"]
_FOLDED = os.environ["TUNLITE_FOLDED"]  # a folder for the sources as they are compiled
_OPTIMISED = 3 if os.environ["TUNLITE_NO_LINES"] == "1" else 2
_ELSEWHERE = ("cpython", "fake")  # other ports, by the start of a file's name

sys.path.insert(0, os.path.join(_ROOT, "micropython"))
import fold  # noqa: E402


def _modules():
    for folder, folders, files in os.walk(os.path.join(_ROOT, "tunlite")):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(_ELSEWHERE):
                yield os.path.relpath(os.path.join(folder, name), _ROOT)


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _fold(module, text):
    """Writes the file if it is another one: what is newer is compiled anew."""
    path = os.path.join(_FOLDED, module)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or _read(path) != text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


_names = tuple(_modules())
_sources = [_read(os.path.join(_ROOT, _name)) for _name in _names]
_given = set(fold.keywords(_sources))
for _name, _source in zip(_names, _sources, strict=True):
    _fold(_name, fold.folded(_source, _given))
freeze(os.path.join(_ROOT, "micropython"), "_start.py", opt=_OPTIMISED)  # noqa: F821
freeze(_FOLDED, _names, opt=_OPTIMISED)  # noqa: F821
