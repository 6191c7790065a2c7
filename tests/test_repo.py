# SPDX-License-Identifier: MIT
"""What must hold for the tree as a whole."""

import ast
import os
import re
import subprocess
import sys

import pytest
from cffi import FFI

from devtools import lint
from machine import native_build

_ROOT = lint.ROOT
_LICENCE = re.compile(r"(#|/\*|//) SPDX-License-Identifier: MIT\b")

# Modules that MicroPython's unix port lacks, or has too little of (docs/interpreters.md).
_ABSENT = {
    *(
        "argparse",
        "asyncio",
        "base64",
        "configparser",
        "contextlib",
        "copy",
        "ctypes",
        "dataclasses",
    ),
    *("enum", "functools", "hashlib", "inspect", "ipaddress", "itertools", "logging", "pathlib"),
    *("pickle", "re", "shutil", "string", "subprocess", "tempfile", "threading", "traceback"),
    *("typing", "uuid", "warnings", "weakref"),
}
_IN_PORTS_ONLY = {"os", "select", "signal", "socket", "time", "random", "platform"}
_ABSENT_METHODS = {"zfill", "ljust", "removeprefix", "removesuffix", "casefold", "isidentifier"}


def _text(name):
    return (_ROOT / name).read_text(encoding="utf-8", errors="replace")


def test_every_source_file_begins_with_its_licence():
    bare = []
    for name in lint.tracked("*.py", "*.sh", "*.c", "*.h", "*.S"):
        lines = [line for line in _text(name).splitlines()[:2] if not line.startswith("#!")]
        if lines and not _LICENCE.match(lines[0]):
            bare.append(name)
    assert bare == []


def test_no_file_names_a_package_registry_by_its_address():
    host = re.compile(r"https?://[a-z.-]*(deb" r"ian|py" r"pi|python" r"hosted|npm" r"js)[a-z.-]*")
    assert [name for name in lint.tracked() if host.search(_text(name))] == []


def test_no_file_admits_to_being_unfinished():
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|Not" r"ImplementedError)\b")
    assert [name for name in lint.tracked() if words.search(_text(name))] == []


def test_the_border_header_is_plain_enough_for_cffi():
    text = native_build.build_ffi().border_cdef(_text("native/include/tunlite.h"))
    ffi = FFI()
    ffi.cdef(text)
    names = re.findall(r"\b(tl_\w+)\(", text)
    assert len(names) == len(set(names)) > 20


def _control_plane():
    names = lint.tracked("tunlite/*.py")
    return [n for n in names if not re.search(r"system/(cpython|rtnetlink)", n)]


@pytest.mark.parametrize("name", _control_plane())
def test_the_control_plane_imports_only_what_both_interpreters_have(name):
    wrong = []
    for node in ast.walk(ast.parse(_text(name))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        banned = _ABSENT if "/system/" in name else _ABSENT | _IN_PORTS_ONLY
        wrong += [module for module in modules if module.split(".")[0] in banned]
    assert wrong == []


@pytest.mark.parametrize("name", _control_plane())
def test_the_control_plane_keeps_to_the_language_both_interpreters_have(name):
    wrong = []
    for node in ast.walk(ast.parse(_text(name))):
        if (
            isinstance(node, ast.Match)
            or (isinstance(node, ast.Raise) and node.cause is not None)
            or (isinstance(node, ast.Dict) and None in node.keys)
            or (isinstance(node, ast.Attribute) and node.attr in _ABSENT_METHODS)
            or (isinstance(node, ast.AsyncFunctionDef))
        ):
            wrong.append(f"line {node.lineno}: {ast.unparse(node)[:60]}")
    assert wrong == []


@pytest.mark.timeout(300)
def test_an_installed_package_needs_nothing_of_the_tree(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "TUNLITE"))}
    source = tmp_path / "source"
    for name in lint.tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((_ROOT / name).read_bytes())
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", source]
    result = subprocess.run(install, capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    (source / "tunlite").rename(source / "moved")
    version = [tmp_path / "venv/bin/tunlite", "--version"]
    result = subprocess.run(version, capture_output=True, text=True, cwd="/", env=env)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\d+\.\d+", result.stdout)
    probe = [python, "-c", "import tunlite._native as n; print(n.lib.tl_seen, n.__file__)"]
    result = subprocess.run(probe, capture_output=True, text=True, cwd="/", env=env)
    assert str(tmp_path / "venv") in result.stdout, result.stderr


# The last ones: tl_peer_path, which is measured again and again; tl_peer_use, as the choice changes
# while sessions go on; tl_macs, which publishes as tl_routes does, and what is no allowed IP.
_BORDER_MAX = 46


def test_the_border_has_few_functions():
    """What could be one kind more of a call that is there is not another function."""
    functions = re.findall(r"^int (tl_\w+)\(", _text("native/include/tunlite.h"), re.M)
    assert len(set(functions)) == len(functions) <= _BORDER_MAX
