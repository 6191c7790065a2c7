# SPDX-License-Identifier: MIT
"""Collects the tasks of devtools/tasks/: an area adds its file and edits no shared one."""

import importlib
import sys
from pathlib import Path

from invoke import Collection
from invoke.tasks import Task

_ROOT = Path(__file__).resolve().parent
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

namespace = Collection()
for path in sorted((_ROOT / "devtools/tasks").glob("[!_]*.py")):
    module = importlib.import_module("devtools.tasks." + path.stem)
    for value in vars(module).values():
        if isinstance(value, Task) and value.body.__module__ == module.__name__:
            namespace.add_task(value)
