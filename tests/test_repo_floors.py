# SPDX-License-Identifier: MIT
"""The floors that docs/architecture.md draws, and that the test sees an arrow which breaks them."""

import pytest

from devtools import floors

TABLE = """
| house | floor | rooms | what |
|---|---|---|---|
| `native` | 0 | `base` | x |
| `native` | 1 | `inside` `outside` | x |
| `tunlite` | 0 | `system` | x |
| `tunlite` | 1 | `*` | x |
| `tunlite` | 2 | `control` | x |
"""
SOUND = {
    "docs/architecture.md": TABLE,
    "native/base/bytes.h": "",
    "native/base/os.h": "",
    "native/base/os.c": '#include "base/os.h"\n',
    "native/inside/tun.c": '#include "base/bytes.h"\n#include "inside/tun.h"\n',
    "native/inside/tun.h": '#include "base/os.h"\n',
    "native/outside/io.h": "",
    "native/outside/io.c": '#include "io.h"\n#include <errno.h>\n',
    "tunlite/__init__.py": "",
    "tunlite/system/__init__.py": "",
    "tunlite/system/port.py": "import os\n",
    "tunlite/log.py": "from tunlite.system import port\n",
    "tunlite/control/__init__.py": "",
    "tunlite/control/peer.py": "import tunlite.log\nfrom tunlite import log\n",
    "tunlite/control/daemon.py": "def f():\n    from tunlite.control import peer\n",
}


@pytest.fixture
def plant(tmp_path):
    def planted(**files):
        changed = {name.replace("__", "/"): text for name, text in files.items()}
        for name, text in {**SOUND, **changed}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return floors.faults(tmp_path)

    return planted


@pytest.mark.parametrize("folder", [".", "native", "tunlite"])
def test_no_arrow_of_the_house_runs_up_none_closes_a_circle_and_each_file_lies_in_a_room(folder):
    assert floors.faults(folder=folder) == []


def test_a_sound_house_has_no_fault(plant):
    assert plant() == []


@pytest.mark.parametrize(
    "name, text, fault",
    [
        (
            "native/base/os.h",
            '\n#include "inside/tun.h"\n',
            "native/base/os.h:2: the arrow base -> inside runs up: native/inside/tun.h",
        ),
        (
            "native/inside/tun.c",
            '#include "outside/io.h"\n',
            "native/inside/tun.c:1: the arrow inside -> outside runs to a room beside: "
            "native/outside/io.h",
        ),
        ("native/loose.c", "", "native/loose.c: lies in no room of native"),
        ("native/attic/old.h", "", "native/attic/old.h: lies in no room of native"),
        (
            "native/base/os.h",
            '#include "base/os2.h"\n',
            "a circle: native/base/os.h -> native/base/os2.h -> native/base/os.h",
        ),
        (
            "native/base/bytes.c",
            '#include "base/os.h"\n',
            "a circle: native/base/bytes -> native/base/os -> native/base/bytes",
        ),
        (
            "tunlite/log.py",
            "import sys\n\n\ndef f():\n    from tunlite.control import peer\n",
            "tunlite/log.py:5: the arrow * -> control runs up: tunlite/control/peer.py",
        ),
        (
            "tunlite/control/peer.py",
            "from tunlite.control.daemon import f\n",
            "a circle: tunlite/control/daemon.py -> tunlite/control/peer.py -> "
            "tunlite/control/daemon.py",
        ),
        ("tunlite/cellar/x.py", "", "tunlite/cellar/x.py: lies in no room of tunlite"),
    ],
)
def test_a_planted_fault_is_named_with_its_file_and_arrow(plant, name, text, fault):
    more = {
        "native/base/os2.h": '#include "base/os.h"\n',
        "native/base/os.c": '#include "base/bytes.h"\n',
    }
    wanted = {
        "native/base/os2.h": "os2.h" in text,
        "native/base/os.c": name.endswith("bytes.c"),
    }
    assert fault in plant(**{name: text}, **{n: t for n, t in more.items() if wanted[n]})


def test_a_room_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / floors.TABLE).write_text(TABLE + "| `native` | 2 | `base` | x |\n")
    with pytest.raises(ValueError, match="native has the room base twice"):
        floors.houses(tmp_path)
