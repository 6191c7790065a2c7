# SPDX-License-Identifier: MIT
"""A guest's root file system: files, kernel modules and shared libraries as one compressed cpio."""

import gzip
import lzma
import re
import subprocess
from pathlib import Path

_FOLDER, _FILE, _LINK, _CHARACTER_DEVICE = 0o040000, 0o100000, 0o120000, 0o020000
_FOLDERS = ("bin", "sbin", "dev", "etc", "lib", "proc", "root", "run", "sys", "tmp", "usr", "var")


class Initramfs:
    """Collects files by their path in the guest and packs them in newc format, reproducibly."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes, int]] = {}
        for folder in _FOLDERS:
            self._entries[folder] = (_FOLDER | 0o755, b"", 0)
        self._entries["lib64"] = (_LINK | 0o777, b"lib", 0)
        self._entries["dev/console"] = (_CHARACTER_DEVICE | 0o600, b"", (5 << 8) | 1)

    def add(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        if isinstance(content, str):
            content = content.encode()
        for parent in list(Path(path).parents)[-2::-1]:
            self._entries.setdefault(str(parent), (_FOLDER | 0o755, b"", 0))
        self._entries[path] = (_FILE | mode, content, 0)

    def add_tree(self, path: str, source: Path) -> None:
        """All files below `source`, to the same places below `path`; scripts, so executable."""
        for found in sorted(p for p in source.rglob("*") if p.is_file()):
            place = Path(path) / found.relative_to(source)
            self.add(place.as_posix(), found.read_bytes(), 0o755)

    def link(self, path: str, to: str) -> None:
        self._entries[path] = (_LINK | 0o777, to.encode(), 0)

    def add_program(self, path: str, source: Path, sysroot: Path | None = None) -> None:
        """A program and, when `sysroot` is given, the loader and libraries that it needs."""
        self.add(path, source.read_bytes(), 0o755)
        if sysroot:
            for library in needed_libraries(source, sysroot):
                self.add(f"lib/{library.name}", library.read_bytes(), 0o755)

    def add_modules(self, root: Path, wanted: list[str]) -> None:
        """Kernel modules and all they depend on; /lib/modules/order lists them in loading order."""
        order = module_order(root, wanted)
        for module in order:
            self.add(f"lib/modules/{_module_name(module)}.ko", read_module(module))
        names = [f"/lib/modules/{_module_name(module)}.ko\n" for module in order]
        self.add("lib/modules/order", "".join(names))

    def pack(self) -> bytes:
        out = bytearray()
        for number, path in enumerate(sorted(self._entries), start=1):
            mode, content, device = self._entries[path]
            _append(out, path, (number, mode, device), content)
        _append(out, "TRAILER!!!", (0, 0, 0), b"")
        return gzip.compress(bytes(out), compresslevel=6, mtime=0)


def _append(out: bytearray, path: str, head: tuple[int, int, int], content: bytes) -> None:
    number, mode, device = head
    name = path.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, device >> 8, device & 0xFF]
    fields += [len(name), 0]
    out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out += bytes(-len(out) % 4)
    out += content
    out += bytes(-len(out) % 4)


def _module_name(path: Path) -> str:
    return re.sub(r"\.ko(\.xz)?$", "", path.name).replace("-", "_")


def read_module(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def module_order(root: Path, wanted: list[str]) -> list[Path]:
    """Depth first over the `depends=` of each module; one that is built in is left out."""
    files = {_module_name(path): path for path in sorted(root.rglob("*.ko*"))}
    order: list[Path] = []

    def visit(name: str) -> None:
        path = files.get(name)
        if path is None or path in order:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", read_module(path))
        for dependency in (depends[1].decode() if depends else "").split(","):
            visit(dependency.replace("-", "_"))
        order.append(path)

    for name in wanted:
        visit(name.replace("-", "_"))
    return order


def needed_libraries(program: Path, sysroot: Path) -> list[Path]:
    """The loader and, transitively, the shared libraries of a foreign program."""
    by_name: dict[str, Path] = {}
    for folder in ("lib", "usr/lib", "lib64"):
        for path in sorted((sysroot / folder).rglob("*.so*")):
            by_name.setdefault(path.name, path)
    found: dict[str, Path] = {}
    queue = [program]
    while queue:
        dump = subprocess.run(
            ["readelf", "-dl", queue.pop()], capture_output=True, text=True, check=True
        ).stdout
        names = re.findall(r"Shared library: \[([^]]+)\]", dump)
        names += [Path(p).name for p in re.findall(r"program interpreter: ([^]]+)\]", dump)]
        for name in names:
            if name not in found:
                if name not in by_name:
                    raise FileNotFoundError(f"{program.name} needs {name}: not below {sysroot}")
                found[name] = by_name[name]
                queue.append(found[name])
    return list(found.values())
