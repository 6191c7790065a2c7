# SPDX-License-Identifier: MIT
"""What a peer remembers is written by the part that owns it, and by no one else.

The parts are what Peer.__init__ makes; they and what they inherit from own the attributes that
they write. A write is an assignment, also augmented, of a tuple or a slice, a `del`, a loop's or a
`with`'s target, and setattr().
"""

import ast
from pathlib import Path

import pytest

HOME = "tunlite/control/peer.py"
# Their own objects, which no peer knows: names and workers of the resolver.
OTHERS = {"tunlite/control/resolver.py": {"name", "worker"}}


def _sources(folder):
    found = sorted(Path(folder, "tunlite").rglob("*.py"))
    return {str(path.relative_to(folder)): ast.parse(path.read_text()) for path in found}


def _imports(tree):
    """{name in the file: (file, name there or None)}"""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                home = node.module.replace(".", "/")
                name = alias.asname or alias.name
                found[name] = (home, alias.name)
    return found


def _classes(trees):
    return {
        (file, node.name): node
        for file, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _class_at(trees, file, node):
    """(file, class) that an expression in a file names, or None."""
    known = _imports(trees[file])
    if isinstance(node, ast.Name):
        home, name = known.get(node.id, (None, node.id))
        found = (home + ".py" if home else file, name)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        home, name = known.get(node.value.id, ("", ""))
        found = (f"{home}/{name}.py", node.attr)
    else:
        return None
    return found if found in _classes(trees) else None


def _with_bases(trees, found):
    yield found
    for base in _classes(trees)[found].bases:
        named = _class_at(trees, found[0], base)
        if named:
            yield from _with_bases(trees, named)


def owners(trees):
    """The classes (file, name) of Peer, its parts and what they inherit from."""
    found = list(_with_bases(trees, (HOME, "Peer")))
    for node in ast.walk(_classes(trees)[(HOME, "Peer")]):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            part = _class_at(trees, HOME, node.value.func)
            if part:
                found += _with_bases(trees, part)
    return found


def _targets(tree):
    """Attributes that are written, each as its node."""
    for node in ast.walk(tree):
        to = node.value if isinstance(node, ast.Subscript) else node
        written = not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if written and isinstance(to, ast.Attribute):
            yield to


def owned(trees):
    """Names of what a peer and its parts remember."""
    found = set()
    for owner in owners(trees):
        node = _classes(trees)[owner]
        found |= {to.attr for to in _targets(node) if getattr(to.value, "id", "") == "self"}
        for row in node.body:
            if isinstance(row, ast.Assign):
                found |= {to.id for to in row.targets}
    return found


def foreign_writes(folder="."):
    """["file:line: what is written"] for each write from outside of the part."""
    trees = _sources(folder)
    names = owned(trees)
    found = []
    for file, tree in trees.items():
        for to in _targets(tree):
            whose = ast.unparse(to.value)
            if to.attr in names and whose != "self" and whose not in OTHERS.get(file, ()):
                found.append(f"{file}:{to.lineno}: {ast.unparse(to)}")
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node).startswith("setattr(")
                and (ast.unparse(node.args[0]) != "self")
            ):
                found.append(f"{file}:{node.lineno}: {ast.unparse(node)}")
    return found


PEER = """
from tunlite.control import sessions, timers
from tunlite.control.way import Way


class Peer(timers.Timer):
    here = 0

    def __init__(self):
        self.sessions = sessions.Sessions()
        self.way = Way()
        self.name = None

    def moved(self):
        self.here += 1
"""
SOUND = {
    HOME: PEER,
    "tunlite/control/sessions.py": "class Sessions:\n def f(self):\n  self.next = self.all = 1\n",
    "tunlite/control/way.py": "class Way:\n asked = False\n",
    "tunlite/control/timers.py": "class Timer:\n def f(self):\n  self.timer_ms = 1\n",
    "tunlite/control/resolver.py": "def f(name):\n name.next = 2\n",
    "tunlite/control/daemon.py": "class Daemon:\n def f(self, way):\n  self.name = way.else_ = 1\n",
}


@pytest.fixture
def plant(tmp_path):
    def planted(file="", text=""):
        for name, sound in SOUND.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sound + (text if name == file else ""))
        return foreign_writes(tmp_path)

    return planted


def test_a_house_where_each_part_writes_what_is_its_own_has_no_fault(plant):
    assert plant() == []


@pytest.mark.parametrize(
    "file, line, fault",
    [
        ("daemon", "peer.name = 1", "peer.name"),
        ("daemon", "own.sessions.next += 1", "own.sessions.next"),
        ("daemon", "a, (x.asked, b) = c", "x.asked"),
        ("daemon", "del peer.way", "peer.way"),
        ("daemon", "peer.all[1:2] = b''", "peer.all"),
        ("daemon", "for each.here in (1, 2): pass", "each.here"),
        ("daemon", "timer.timer_ms = other.x = None", "timer.timer_ms"),
        ("daemon", "setattr(peer, 'x', 1)", "setattr(peer, 'x', 1)"),
        ("peer", "class Other:\n def f(self): self.sessions.next = 1", "self.sessions.next"),
        ("resolver", "peer.name = 1", "peer.name"),
    ],
)
def test_a_planted_write_is_named_with_its_place(plant, file, line, fault):
    path = f"tunlite/control/{file}.py"
    (found,) = plant(path, line + "\n")
    assert found.startswith(path + ":") and found.endswith(": " + fault)


def test_no_one_writes_what_a_peer_or_a_part_of_it_owns():
    assert foreign_writes() == []
