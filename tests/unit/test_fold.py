# SPDX-License-Identifier: MIT
"""micropython/fold.py: the sources as the executable for routers compiles them."""

import ast
import dis
import importlib.util
import types
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("fold", _ROOT / "micropython" / "fold.py")
fold = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fold)


_FILES = sorted(path for path in (_ROOT / "tunlite").rglob("*.py") if fold.is_frozen(path))


def _name_of(path):
    return fold.name_of(path.relative_to(_ROOT))


_KNOWN = {word for kind in (str, bytes, bytearray, list, dict, set, int) for word in dir(kind)}
_PROGRAM = fold.Program({_name_of(path): path.read_text() for path in _FILES}, _KNOWN)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("_A = 5", "_A = const(5)"),
        ("_A = -1  # why", "_A = const(-1)"),
        ("_A = 4\n_B = 3 << _A", "_A = const(4)\n_B = const(3 << _A)"),
        ("_A = (\n    5 +\n    6)", "_A = const(5 + 6)\n\n"),
    ],
)
def test_a_private_number_is_folded(source, wanted):
    assert fold.folded(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "A = 5",  # others may ask for it
        "_A = 5\n_A = 6",
        "_A = 5\ndef f():\n global _A\n _A += 1",
        "_A = 5\ndef f():\n for _A in x():\n  pass",
        "_A = 5\nfor _A in range(3):\n pass",
        "_A = True",
        "_A = 'text'",
        "_A = 6 / 2",
        "_A = f(5)",
        "_A = _B = 5",
        "if x:\n _A = 5",
    ],
)
def test_no_other_value_is_folded(source):
    assert fold.folded(source) == source


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("def _one():\n return _two()", "def _a():\n return _two()"),
        ("_one = f\n_a = _one", "_b = f\n_a = _b"),
        ("import _one\n_one.f()", "import _one\n_one.f()"),
        ("x._one = f'{x._one}'", "x._a = f'{x._a}'"),
        ("class A:\n def __init__(s):\n  s._one = 1", "class A:\n def __init__(s):\n  s._a = 1"),
        ("_exit = f", "_exit = f"),
    ],
)
def test_a_private_name_of_the_file_is_short(source, wanted):
    assert fold.folded(source) == wanted


def _program(source, **others):
    ours = {f"tunlite.{name}": text for name, text in others.items()}
    return fold.Program({"x": source, "y": "f(given=1)", **ours}, set())


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("def f(one, two=one):\n return a + two", "def f(b, c=one):\n return a + c"),
        ("g = lambda one: one", "g = lambda a: a"),
        ("def f(given):\n return given", "def f(given):\n return given"),
        ("f(one=1)\ndef f(one):\n pass", "f(one=1)\ndef f(one):\n pass"),
        (
            "def f(one):\n def g(two):\n  nonlocal one\n  one = two",
            "def f(a):\n def g(b):\n  nonlocal a\n  a = b",
        ),
        (
            "def f(one):\n try:\n  g(one)\n except E as a:\n  pass",
            "def f(b):\n try:\n  g(b)\n except E as a:\n  pass",
        ),
    ],
)
def test_a_parameter_is_short_unless_somebody_gives_it_by_its_name(source, wanted):
    assert fold.folded(source, _program(source), "x") == wanted


def test_every_statement_begins_in_its_line_and_ends_there():
    source = """\
\"\"\"Doc.\"\"\"

@d(
    1,
)
def f():
    # why
    if x:
        return (
            1
        )
    elif y:
        pass
    else:
        # why
        g(
            2
        )
    try:
        pass
    except E:
        pass
    finally:
        pass
"""
    wanted = """\


@d(1)


def f():

 if x:
  return 1


 elif y:
  pass

 else:
  g(2)


 try:
  pass
 except E:
  pass
 finally:
  pass
"""
    assert fold.folded(source) == wanted


def _code(source):
    """Its code without the marks of numbers, without docstrings, and with lines of its own."""
    tree = ast.parse(source)
    tree = _Unfold().visit(fold.Inline(tree, _PROGRAM.numbers).visit(tree))
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [one for one in node.body if not _says_nothing(one)] or [ast.Pass()]
    return compile(ast.unparse(ast.fix_missing_locations(tree)), "", "exec")


def _says_nothing(node):
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Pass)


class _Unfold(ast.NodeTransformer):
    def visit_Call(self, node):
        self.generic_visit(node)
        return node.args[0] if getattr(node.func, "id", "") == "const" else node


class _Same:
    """Two code objects that do the same, but for names; which of one are which of the other."""

    def __init__(self):
        self.names = {}

    def _is(self, names, old, new):
        assert names.setdefault(old, new) == new
        assert len(set(names.values())) == len(names)

    def _constant(self, old, new, local):
        if isinstance(old, types.CodeType):
            self.compare(old, new, local)
        elif isinstance(old, str) and old != new:  # the name of a class or function
            for one, other in zip(old.split("."), new.split("."), strict=True):
                self._is(self.names, one, other)
        else:
            assert old == new

    def compare(self, old, new, around=None):
        local = {name: around.get(name, name) for name in old.co_freevars}
        assert set(local.values()) == set(new.co_freevars)
        for one, other in zip(_arguments(old), _arguments(new), strict=True):
            self._is(local, one, other)
        for one, other in zip(_instructions(old), _instructions(new), strict=True):
            assert one.opname == other.opname
            if one.opname == "LOAD_CLOSURE":
                continue  # they come in the order of the alphabet; the sets are compared above
            if one.opcode in dis.hasconst:
                self._constant(one.argval, other.argval, local)
            elif one.opcode in dis.haslocal + dis.hasfree:
                self._is(local, one.argval, other.argval)
            elif one.opcode in dis.hasname:
                self._is(self.names, one.argval, other.argval)
            else:
                assert one.argval == other.argval


def _arguments(code):
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _instructions(code):
    return [one for one in dis.get_instructions(code) if one.opname != "MAKE_CELL"]


@pytest.mark.parametrize("path", _FILES, ids=lambda p: p.name)
def test_our_files_keep_their_lines_and_their_meaning(path):
    source = path.read_text()
    text = fold.folded(source, _PROGRAM, _name_of(path))
    assert text.count("\n") == source.count("\n")
    _Same().compare(_code(source), _code(text))


def test_no_other_file_asks_for_a_name_that_is_folded_or_short():
    changed = {}
    for path in _FILES:
        tree = ast.parse(path.read_text())
        numbers = fold.fold_numbers(tree)
        changed[path] = numbers | set(fold.shortened(tree, numbers))
    everything = set().union(*changed.values())
    assert len(everything) > 300
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert getattr(node, "attr", None) not in everything - changed[path], (
                path,
                node.lineno,
            )
            if isinstance(node, ast.ImportFrom):
                assert not {alias.name for alias in node.names} & everything, path


def test_a_number_of_another_file_stands_in_place():
    wire = "SIZE = 3\nALL = 2 * SIZE\nOWN = f(SIZE)"
    source = "from tunlite import wire\nx.y = wire.SIZE + wire.ALL + wire.OWN"
    program = _program(source, wire=wire)
    assert fold.folded(source, program, "x").endswith(f".y = 3 + 6 + wire.{program.names['OWN']}")
    short = "_SIZE = const(3)\n_ALL = const(2 * _SIZE)\n"
    assert fold.folded(wire, program, "tunlite.wire").startswith(short)


@pytest.mark.parametrize(
    "source",
    [
        "from tunlite.wire import SIZE",
        "x.SIZE",
        "from tunlite import other\nother.SIZE",
        "getattr(x, 'SIZE')",
    ],
)
def test_a_number_that_is_asked_for_otherwise_stays(source):
    program = _program(source, wire="SIZE = 3")
    assert "const" not in fold.folded("SIZE = 3", program, "tunlite.wire")


def test_numbers_in_place_are_those_of_the_files():
    count = 0
    for path in _FILES:
        numbers = _PROGRAM.numbers[_name_of(path)]
        if numbers and path.name != "micropython.py":
            module = importlib.import_module(_name_of(path))
            for name, value in numbers.items():
                assert getattr(module, name) == value
                count += 1
    assert count > 50


def test_a_public_name_is_the_same_short_one_in_all_files_unless_it_is_said():
    wire = "def parse():\n pass\ndef told():\n pass\nclass Word:\n pass"
    source = "from tunlite import wire\nwire.parse()\nwire.told('told')\nwire.Word()"
    program = _program(source, wire=wire)
    short = program.names["parse"]
    assert len(short) == 2
    assert f"wire.{short}()\nwire.told('told')\nwire.Word()" in fold.folded(source, program, "x")
    assert f"def {short}():" in fold.folded(wire, program, "tunlite.wire")


def test_no_public_name_is_short_that_micropython_knows():
    program = fold.Program({"x": "x.append(1)\nx.other()"}, {"append"})
    assert list(program.names) == ["other"]


def test_all_rooms_are_frozen_but_the_gateways_and_all_files_but_those_of_cpython():
    rooms = {path.parent.relative_to(_ROOT / "tunlite").as_posix() for path in _FILES}
    assert " ".join(sorted(rooms)) == ". cli config control host plane protocol system uapi"
    left_out = {path.name for path in (_ROOT / "tunlite").rglob("*.py")} - {p.name for p in _FILES}
    assert left_out == {
        f"cpython{part}.py"
        for part in ("", "_exporter", "_links", "_metrics", "_native", "_sockets")
    }
    assert not fold.is_frozen(Path("tunlite/fleet/gateway.py"))


def test_a_class_that_another_file_inherits_from_has_no_names_of_its_own_file():
    """They are short in each file by itself: one would be the other's."""
    trees = {path: ast.parse(path.read_text()) for path in _FILES}
    classes = {
        (path.stem, node.name): node
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    found = 0
    for tree in trees.values():
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
                    parent = classes.get((base.value.id, base.attr))
                    found += parent is not None
                    for inner in ast.walk(parent) if parent else ():
                        name = getattr(inner, "attr", getattr(inner, "name", None)) or ""
                        assert not name.startswith("_") or name.startswith("__"), (base.attr, name)
    assert found >= 3


def test_an_argument_of_one_letter_that_is_given_by_its_name_is_refused():
    with pytest.raises(ValueError, match="one letter"):
        fold.Program({"x": "f(a=1)"})
