# SPDX-License-Identifier: MIT
"""micropython/fold.py: the sources as the executable for routers compiles them."""

import ast
import importlib.util
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("fold", _ROOT / "micropython" / "fold.py")
fold = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fold)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("_A = 5", "_A = const(5)"),
        ("_A = -1  # why", "_A = const(-1)  # why"),
        ("_A = 4\n_B = 3 << _A", "_A = const(4)\n_B = const(3 << _A)"),
    ],
)
def test_a_private_number_is_folded(source, wanted):
    assert fold.folded(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "A = 5",  # others may ask for it
        "_A = 5\n_A = 6",
        "_A = 5\ndef f():\n    global _A\n    _A += 1",
        "_A = 5\ndef f(_A):\n    return _A",
        "_A = 5\nfor _A in range(3):\n    pass",
        "_A = True",
        "_A = 'text'",
        "_A = 6 / 2",
        "_A = f(5)",
        "_A = _B = 5",
        "_A = (\n    5 +\n    6)",
        "if x:\n    _A = 5",
    ],
)
def test_anything_else_stays_as_it_is(source):
    assert fold.folded(source) == source


@pytest.mark.parametrize("path", sorted((_ROOT / "tunlite").rglob("*.py")), ids=lambda p: p.name)
def test_our_files_keep_their_lines_and_their_meaning(path):
    source = path.read_text()
    text = fold.folded(source)
    assert text.count("\n") == source.count("\n")

    class Unfold(ast.NodeTransformer):
        def visit_Call(self, node):
            self.generic_visit(node)
            return node.args[0] if getattr(node.func, "id", "") == "const" else node

    assert ast.dump(Unfold().visit(ast.parse(text))) == ast.dump(ast.parse(source))


def test_no_other_file_asks_for_a_name_that_is_folded():
    folded = set()
    for path in (_ROOT / "tunlite").rglob("*.py"):
        tree = ast.parse(fold.folded(path.read_text()))
        folded |= {
            node.targets[0].id
            for node in tree.body
            if isinstance(node, ast.Assign)
            and getattr(getattr(node.value, "func", None), "id", "") == "const"
        }
    assert len(folded) > 50
    for path in (_ROOT / "tunlite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert getattr(node, "attr", None) not in folded, (path, node.lineno)
            if isinstance(node, ast.ImportFrom):
                assert not {alias.name for alias in node.names} & folded, path
