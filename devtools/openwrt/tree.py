# SPDX-License-Identifier: MIT
"""The files of a package, before anybody packs them."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tree:
    """Path without a leading slash -> (bytes, mode); folders -> mode."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    def add_folder(self, path, mode):
        """Adds a folder and those above it."""
        self.folders[path] = mode
        for parent in Path(path).parents:
            if str(parent) != ".":
                self.folders.setdefault(str(parent), 0o755)

    def add(self, path, data, mode):
        """Adds a file and the folders above it."""
        self.files[path] = (data, mode)
        if "/" in path:
            parent = str(Path(path).parent)
            self.add_folder(parent, self.folders.get(parent, 0o755))

    def entries(self):
        """(name, mode, bytes or None for a folder), sorted; the names begin with ./"""
        yield "./", 0o755, None
        for path in sorted([*self.folders, *self.files]):
            if path in self.folders:
                yield f"./{path}/", self.folders[path], None
            else:
                data, mode = self.files[path]
                yield f"./{path}", mode, data
