# SPDX-License-Identifier: MIT
"""The floors of the house: the table in docs/architecture.md, held against includes and imports.

An arrow runs from a file to what it includes or imports, inside functions too. None may run up a
floor or to another room of the same one, none may close a circle of files, and each file lies in
a room of the table.
"""

import ast
import re
from collections import defaultdict
from pathlib import PurePosixPath

from devtools.lint import ROOT

TABLE = "docs/architecture.md"
_ROW = re.compile(r"^\| `([\w/.]+)` \| (\d+) \| ([^|]+) \|", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#\s*include "([^"]+)"', re.MULTILINE)


class House:
    """The floors below one folder: `rooms` is {room: floor}; room "*" takes what lies in none."""

    def __init__(self, folder, rooms):
        self.folder = folder
        self.rooms = rooms

    def room_of(self, path):
        """The room of a file (its path from the root); None: it is in no room."""
        inside = PurePosixPath(path).relative_to(self.folder)
        if len(inside.parts) > 1:
            return inside.parts[0] if inside.parts[0] in self.rooms else None
        for name in (inside.name, inside.stem, "*"):
            if name in self.rooms:
                return name
        return None


def houses(root=ROOT):
    """The rows of the table: [House]. ValueError where a room stands twice."""
    found = defaultdict(dict)
    for folder, floor, rooms in _ROW.findall((root / TABLE).read_text(encoding="utf-8")):
        for room in re.findall(r"`([^`]+)`", rooms):
            if room in found[folder]:
                raise ValueError(f"{TABLE}: {folder} has the room {room} twice")
            found[folder][room] = int(floor)
    return [House(folder, rooms) for folder, rooms in found.items()]


# ---- arrows ----


def _exists(root, dotted):
    """The file of a module, from the root; None: it is none of ours."""
    path = dotted.replace(".", "/")
    for name in (path + ".py", path + "/__init__.py"):
        if (root / name).is_file():
            return name
    return None


def imports(root, path):
    """{(line, file)} that a Python file imports of this tree, but the packages around it."""
    found = set()
    tree = ast.parse((root / path).read_text(encoding="utf-8"), path)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # `from a import b`: b is a module, or a name of the module a.
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _exists(root, name) else node.module for name in whole]
        found |= {(node.lineno, file) for name in names if (file := _exists(root, name))}
    around = {f"{parent}/__init__.py" for parent in PurePosixPath(path).parents}
    return {(line, file) for line, file in found if file not in around}


def includes(root, path):
    """{(line, file)} that a C file includes of this tree, found as the compiler finds them."""
    text = (root / path).read_text(encoding="utf-8")
    found = set()
    for match in _INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        for folder in (str(PurePosixPath(path).parent), "native", "native/include"):
            name = f"{folder}/{match[1]}"
            if (root / name).is_file():
                found.add((line, name))
                break
    return found


def _files(root, folder, *endings):
    paths = sorted(p for ending in endings for p in (root / folder).rglob("*" + ending))
    skipped = {"build", "dist", "__pycache__", ".venv", "node_modules"}
    names = [p.relative_to(root).as_posix() for p in paths]
    return [name for name in names if not skipped & set(PurePosixPath(name).parts)]


# ---- what is wrong ----


def _against_floors(house, arrows):
    for path, line, target in arrows:
        room = house.room_of(path)
        below = house.room_of(target)
        if room is None or below is None or room == below:
            continue
        if house.rooms[below] > house.rooms[room]:
            yield f"{path}:{line}: the arrow {room} -> {below} runs up: {target}"
        elif house.rooms[below] == house.rooms[room]:
            yield f"{path}:{line}: the arrow {room} -> {below} runs to a room beside: {target}"


def _circles(graph):
    """The first circle that a walk meets, as text; nothing where there is none."""
    done, way = set(), []

    def walk(node):
        if node in way:
            yield "a circle: " + " -> ".join([*way[way.index(node) :], node])
            return
        if node in done:
            return
        way.append(node)
        for target in sorted(graph.get(node, ())):
            yield from walk(target)
        way.pop()
        done.add(node)

    for node in sorted(graph):
        yield from walk(node)


def _in_no_room(house, files):
    return [
        f"{path}: lies in no room of {house.folder}" for path in files if not house.room_of(path)
    ]


def python_faults(root, house):
    """What is wrong with the imports of a house: [text], each with file, line and arrow."""
    files = _files(root, house.folder, ".py")
    arrows = [
        (path, line, target)
        for path in files
        for line, target in imports(root, path)
        if target.startswith(house.folder + "/") or house.folder == "."
    ]
    graph = defaultdict(set)
    for path, _, target in arrows:
        if path != target:
            graph[path].add(target)
    faults = _in_no_room(house, files) + list(_against_floors(house, sorted(arrows)))
    return faults + list(_circles(graph))


def _unit(path):
    return path.rsplit(".", 1)[0]


def c_faults(root, house):
    """Likewise for includes. A source and its header are one in a circle of sources; headers, which
    contain each other's structs, make one only among themselves."""
    files = _files(root, house.folder, ".c", ".h")
    arrows = [(path, line, target) for path in files for line, target in includes(root, path)]
    sources = {_unit(path) for path in files if path.endswith(".c")}
    headers, units = defaultdict(set), defaultdict(set)
    for path, _, target in arrows:
        if path.endswith(".h"):
            headers[path].add(target)
        elif _unit(target) in sources and _unit(target) != _unit(path):
            units[_unit(path)].add(_unit(target))
    faults = _in_no_room(house, files) + list(_against_floors(house, sorted(arrows)))
    return faults + list(_circles(headers)) + list(_circles(units))


def faults(root=ROOT, folder=None):
    """Of all houses, or of that of one folder."""
    found = []
    for house in houses(root):
        if folder in (None, house.folder):
            found += (c_faults if house.folder == "native" else python_faults)(root, house)
    return found
