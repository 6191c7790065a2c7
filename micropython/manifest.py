# SPDX-License-Identifier: MIT
"""What is frozen into the executable; MicroPython's makemanifest.py reads this."""

import os
import pathlib
import re
import sys

_ROOT = os.environ["TUNLITE_ROOT"]
_FOLDED = os.environ["TUNLITE_FOLDED"]  # a folder for the sources as they are compiled
_OPTIMISED = 3 if os.environ["TUNLITE_NO_LINES"] == "1" else 2

sys.path.insert(0, os.path.join(_ROOT, "micropython"))
import fold  # noqa: E402


def _modules():
    for folder, folders, files in os.walk(os.path.join(_ROOT, "tunlite")):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), _ROOT)
            if name.endswith(".py") and fold.is_frozen(pathlib.Path(path)):
                yield path


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


_names = tuple(sorted(_modules()))  # names.h wants them so
_sources = {_name: _read(os.path.join(_ROOT, _name)) for _name in _names}
_QDEFS = os.path.join(os.path.dirname(_FOLDED), "genhdr", "qstrdefs.generated.h")
_known = set(re.findall(r'"(\w+)"\)$', _read(_QDEFS), re.MULTILINE)) | {"main"}  # of _start.py
_files = {_name: fold.name_of(pathlib.Path(_name)) for _name in _names}
_program = None  # The tests' scripts ask for names as they are written.
if os.environ["TUNLITE_COMPILER"] != "1":
    _program = fold.Program({_files[_name]: _sources[_name] for _name in _names}, _known)
for _name in _names:
    _fold(_name, fold.folded(_sources[_name], _program, _files[_name]))
freeze(os.path.join(_ROOT, "micropython"), "_start.py", opt=_OPTIMISED)  # noqa: F821
freeze(_FOLDED, _names, opt=_OPTIMISED)  # noqa: F821
