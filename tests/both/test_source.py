# SPDX-License-Identifier: MIT
"""What MicroPython could not do, or not do the same, is in none of the frozen files."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_FROZEN = sorted(
    path for path in (_ROOT / "tunlite").rglob("*.py") if not path.name.startswith("cpython")
)
# From here on MIPS has numbers of its own.
_COMMON_ERRNO_MAX = 34
_MODULES = {"binascii", "errno", "gc", "heapq", "json", "struct", "sys"}
_BUILT_IN = {"_os", "_tunlite", "_x25519"}


def _name(path):
    return str(path.relative_to(_ROOT))


@pytest.fixture(params=_FROZEN, ids=_name)
def tree(request):
    return ast.parse(request.param.read_text(encoding="utf-8"))


def test_no_number_is_a_fraction(tree):
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), node.lineno
        assert not isinstance(getattr(node, "op", None), ast.Div), node.lineno


def test_no_errno_that_differs_on_mips_is_a_number(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            name = getattr(node.targets[0], "id", "")
            value = node.value.value
            if re.fullmatch(r"_?E[A-Z0-9]+", name) and isinstance(value, int) and name != "EPROTO":
                assert value <= _COMMON_ERRNO_MAX, f"line {node.lineno}: {name}"


def test_the_executable_knows_the_errors_that_are_named_and_no_others():
    config = (_ROOT / "micropython" / "mpconfigport.h").read_text()
    named = {name for path in _FROZEN for name in re.findall(r"errno\.(E\w+)", path.read_text())}
    by_tests = {"EBADF", "ECHILD", "EEXIST", "ENOTEMPTY"}
    assert set(re.findall(r"\bX\((E\w+)\)", config)) == named | by_tests


def test_nothing_is_used_that_this_build_leaves_out(tree):
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), node.lineno
        name = getattr(node, "id", None)
        assert name not in ("property", "frozenset", "reversed", "complex", "filter"), node.lineno
        attribute = getattr(node, "attr", None)
        assert attribute not in ("splitlines", "fromkeys", "errorcode", "modules"), node.lineno
        called = getattr(node, "func", None)
        assert getattr(called, "attr", None) not in ("count", "pend_throw"), node.lineno
        assert len(getattr(node, "bases", ())) < 2, node.lineno
        if isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
            assert not any(isinstance(part, ast.Starred) for part in node.elts), node.lineno


def test_no_string_is_formatted_by_a_percent_sign(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            text = isinstance(node.left, ast.JoinedStr) or (
                isinstance(node.left, ast.Constant) and isinstance(node.left.value, str | bytes)
            )
            assert not text, node.lineno


def test_every_import_is_there(tree):
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            root = name.split(".")[0]
            assert root == "tunlite" or root in _MODULES | _BUILT_IN, f"line {node.lineno}: {name}"


def _defined(path):
    """Public names that a port's file defines at its top."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name))
    return {name for name in names if not name.startswith("_") or name == "_exit"}


def test_both_ports_offer_the_same_names():
    folder = _ROOT / "tunlite/system"
    assert _defined(folder / "cpython.py") == _defined(folder / "micropython.py")


def test_every_name_of_os_that_the_port_uses_is_in_its_c_file():
    used = set()
    for name in ("micropython.py", "micropython_links.py"):
        text = (_ROOT / "tunlite/system" / name).read_text(encoding="utf-8")
        used |= set(re.findall(r"\b_os\.(\w+)", text))
    table = (_ROOT / "micropython/modos.c").read_text(encoding="utf-8")
    offered = set(re.findall(r"MP_ROM_QSTR\(MP_QSTR_(\w+)\)", table))
    assert used <= offered, used - offered
