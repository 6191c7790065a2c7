# SPDX-License-Identifier: MIT
"""Compiles C only where it changed: the extension module, test modules and test programs.

An object is rebuilt when it is older than its source or any header it includes (gcc's -MMD), and
lives in a folder named by a hash of compiler and flags. Several processes may build at once.

    python -m machine.native_build     the extension, into tunlite/_native.abi3.so
"""

import fcntl
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "native"
EXTENSION = ROOT / "tunlite" / "_native.abi3.so"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
INCLUDES = ["-Inative/include", "-Inative"]
SANITIZE = {
    "asan": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "tsan": ["-O1", "-g", "-fsanitize=thread"],
}
_JOBS = 2


class BuildError(Exception):
    """A compiler or linker refused; the text is what it printed."""


def build_ffi():
    """native/build_ffi.py as a module: setup.py runs it as a file, so it is in no package."""
    spec = importlib.util.spec_from_file_location("tunlite_build_ffi", ROOT / "native/build_ffi.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def core_sources():
    """Every C file of the core, as paths relative to the root."""
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("native/**/*.c"))


def _run(argv):
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise BuildError(" ".join(argv) + "\n" + result.stdout + result.stderr)
    if result.stderr:
        sys.stderr.write(result.stderr)


@contextmanager
def _lock(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _mtime(path):
    try:
        return os.stat(ROOT / path).st_mtime_ns
    except FileNotFoundError:
        return None


def _dependencies(depfile):
    """Files that an object was made from; None when it is not known."""
    try:
        text = depfile.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return text.replace("\\\n", " ").split(":", 1)[1].split()


def _is_fresh(target, inputs):
    made = _mtime(target)
    if made is None or inputs is None:
        return False
    stamps = [_mtime(path) for path in inputs]
    return all(stamp is not None and stamp <= made for stamp in stamps)


def _emit(ffi, path):
    """Writes cffi's C text into a file beside `path`, which is returned; what cffi prints about it
    belongs into no task's output."""
    half = path.with_suffix(f".{os.getpid()}.tmp")
    with redirect_stdout(io.StringIO()):
        ffi.emit_c_code(str(half))
    return half


def _write_if_changed(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _object_folder(cc, flags):
    """The stamp covers the compiler's binary too: an upgraded gcc starts afresh."""
    found = Path(shutil.which(cc) or cc)
    stamp = "\0".join([str(found), str(_mtime(found)), *flags])
    return BUILD / "obj" / hashlib.sha256(stamp.encode()).hexdigest()[:12]


def _compile(cc, source, flags):
    folder = _object_folder(cc, flags)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (str(source).replace("/", "_").removesuffix(".c") + ".o")
    depfile = target.with_suffix(".d")
    if not _is_fresh(target, _dependencies(depfile)):
        half = target.with_suffix(f".{os.getpid()}.o")
        begun = time.time_ns()
        try:
            _run([cc, *flags, "-MMD", "-MF", str(depfile), "-c", str(source), "-o", str(half)])
            os.utime(half, ns=(begun, begun))  # an edit during the compilation counts as newer
            half.replace(target)
        finally:
            half.unlink(missing_ok=True)
    return target


def objects(sources, flags=(), cc="gcc", warnings=True):
    """Compiles each source where needed, two at a time; the paths of the objects, in order.

    Sources are relative to the root. `flags` come after the usual ones. BuildError as gcc said it.
    """
    usual = [*build_ffi().CFLAGS, *INCLUDES, *(WARNINGS if warnings else ["-w"])]
    with _lock(_object_folder(cc, [*usual, *flags])), ThreadPoolExecutor(_JOBS) as pool:
        return list(pool.map(lambda s: _compile(cc, s, [*usual, *flags]), sources))


def link(target, made, flags, cc="gcc"):
    """Links when an object is newer or the list of objects or flags is another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}")
    command = [cc, *map(str, made), "-o", str(half), *flags, "-pthread", "-ldl"]
    recipe = BUILD / "linked" / str(target).replace("/", "_")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([cc, *map(str, made), *flags])
    known = recipe.exists() and recipe.read_text(encoding="utf-8") == text
    if not (known and _is_fresh(target, made)):
        try:
            _run(command)
            half.replace(target)
        finally:
            half.unlink(missing_ok=True)
        _write_if_changed(recipe, text)
    return target


def program(name, sources, flags=(), cc="gcc"):
    """A C program build/native/bin/NAME from sources relative to the root; its path.

    `flags` reach compiler and linker (for example SANITIZE["asan"]).
    """
    made = objects(sources, flags, cc)
    return link(BUILD / "bin" / name, made, flags, cc)


def shared(name, sources, flags=()):
    """A shared object build/native/bin/NAME.so, to be preloaded into another program; its path."""
    made = objects(sources, ["-fPIC", *flags])
    return link(BUILD / "bin" / f"{name}.so", made, ["-shared", *flags])


def _extension(source, made, target):
    """A cffi API-mode module: `source` is its C text (ffi.emit_c_code), `made` are its objects."""
    include = ["-fPIC", "-I" + sysconfig.get_paths()["include"]]
    glue = objects([str(Path(source).relative_to(ROOT))], include, warnings=False)
    return link(Path(target), [*glue, *made], ["-shared"])


def test_module(name, cdef, preamble, sources):
    """Compiles and imports a cffi module for a test: `cdef` declares, `preamble` is C text that may
    include the core's internal headers, `sources` are C files relative to the root to link in.

    Returns the module (`.ffi`, `.lib`).
    """
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(cdef)
    ffi.set_source(name, preamble)
    folder = BUILD / "test"
    folder.mkdir(parents=True, exist_ok=True)
    glue = folder / f"{name}.c"
    fresh = _emit(ffi, glue)
    _write_if_changed(glue, fresh.read_text(encoding="utf-8"))
    fresh.unlink()
    target = _extension(glue, objects(sources, ["-fPIC"]), folder / f"{name}.abi3.so")
    spec = importlib.util.spec_from_file_location(name, target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(target=EXTENSION, core=None):
    """The extension module of the tree, as an editable install imports it.

    The bench has another one made, elsewhere and of its own `core` objects.
    """
    with _lock(BUILD):
        glue = BUILD / "_native.c"
        recipe = [ROOT / "native/include/tunlite.h", ROOT / "native/build_ffi.py"]
        if not _is_fresh(glue, recipe):
            _emit(build_ffi().make_ffi([]), glue).replace(glue)
        return _extension(glue, core or objects(core_sources(), ["-fPIC"]), target)


def main():
    """The command line: build the extension; what the compiler says on failure, exit status 1."""
    try:
        build()
    except BuildError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main()
