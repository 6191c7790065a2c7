# SPDX-License-Identifier: MIT
"""Writes a Python file as the executable's compiler gets it; CPython runs the files as they are.

`_NAME = 3 << 3` becomes `_NAME = const(3 << 3)`, which MicroPython's compiler puts in place where
the name stands: no name, no place in the module's dictionary, no look-up at run time.

So do public ones, in all files that ask for them as `file.NAME`.

Other names of a file's own that begin with `_` become `_a`, `_b` and so on, parameters a, b and so
on, the same few in every file: each name takes space once. Public names, but not those of classes,
become two letters. A statement of several lines stands in its first one. Tracebacks tell the short
names; the files as they were compiled are in the build's folder `folded`.
"""

import ast
import copy
import keyword
import string

_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr),
    *(ast.USub, ast.Invert),
)


def _is_number(node, known):
    """Whether the compiler works this out, from numbers and from names that are known."""
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.Name):
        return node.id in known
    if isinstance(node, ast.BinOp):
        parts = (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        parts = (node.operand,)
    else:
        return False
    return isinstance(node.op, _OPERATORS) and all(_is_number(part, known) for part in parts)


def _bound(tree):
    """Each name as often as the file binds it, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def fold_numbers(tree):
    """Puts const() around them; the names that it knows then."""
    bound = list(_bound(tree))
    known = set()
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                once = name.startswith("_") and bound.count(name) == 1
                if once and _is_number(value, known):
                    known.add(name)
                    node.value = ast.Call(ast.Name("const", ast.Load()), [value], [])
    return known


_ASKED = {"_exit"}  # private by their look, but other files ask for them
# Where a node has a name of the file.
_FIELDS = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.FunctionDef: "name",
    ast.ClassDef: "name",
    ast.arg: "arg",
}


def _own(tree):
    """Private names that the file gives to something, in order."""
    for node in ast.walk(tree):
        field = _FIELDS.get(type(node))
        if field and not isinstance(getattr(node, "ctx", None), ast.Load):
            yield getattr(node, field)


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def shortened(tree, numbers):
    """{private name: its short one} for what the file names, but for its numbers."""
    names = [name for name in dict.fromkeys(_own(tree)) if name[0] == "_" and name[:2] != "__"]
    used = {name for name in names if len(name) < 3} | set(_imported(tree)) | numbers | _ASKED
    letters = string.ascii_lowercase + string.ascii_uppercase
    free = (f"_{first}{second}" for first in ("", *letters) for second in letters)
    return {
        name: next(short for short in free if short not in used)
        for name in names
        if name not in used
    }


def _rename(tree, names):
    for node in ast.walk(tree):
        field = _FIELDS.get(type(node))
        if field:
            setattr(node, field, names.get(getattr(node, field), getattr(node, field)))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [names.get(name, name) for name in node.names]


def _names_in(node):
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.arg):
            yield part.arg
        elif isinstance(part, ast.ExceptHandler) and part.name:
            yield part.name


def _parameters(node):
    given = node.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def _shorten_parameters(tree, keywords):
    """Parameters become a, b and so on, but for those that somebody gives by their names."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        kept = keywords | set(_imported(node))
        kept |= {part.name for part in ast.walk(node) if isinstance(part, ast.ExceptHandler)}
        used = set(_names_in(node)) | kept
        free = (letter for letter in string.ascii_lowercase if letter not in used)
        names = [arg.arg for arg in _parameters(node)]
        short = {name: next(free, name) for name in names if len(name) > 1 and name not in kept}
        # What stands for a missing argument is of the scope around.
        outside = {id(part) for value in _defaults(node) for part in ast.walk(value)}
        for part in ast.walk(node):
            if id(part) in outside:
                continue
            if isinstance(part, ast.Name):
                part.id = short.get(part.id, part.id)
            elif isinstance(part, ast.arg):
                part.arg = short.get(part.arg, part.arg)
            elif isinstance(part, ast.Nonlocal):
                part.names = [short.get(name, name) for name in part.names]


def _defaults(node):
    yield from node.args.defaults
    yield from (value for value in node.args.kw_defaults if value)
    yield from getattr(node, "decorator_list", ())


def keywords(sources):
    """Names by which somebody gives an argument."""
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.keyword):
                yield node.arg


def _fixed(tree):
    """What must keep its name wherever it stands: what is said as a text, or tells of itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.alias):
            yield from (*node.name.split("."), node.asname)
        elif isinstance(node, ast.keyword):
            yield node.arg
        elif isinstance(node, ast.ClassDef | ast.ExceptHandler):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from node.module.split(".")


def public(sources, known):
    """{public name: its short one}, for all files; `known` are the names of MicroPython itself."""
    trees = [ast.parse(source) for source in sources]
    fixed = known.union(*map(_fixed, trees), keyword.kwlist)
    found = [(node, field) for tree in trees for node, field in _named(tree)]
    everything = {getattr(node, field) for node, field in found}
    names = {getattr(node, field) for node, field in found if field in ("attr", "name")} - fixed
    names |= {name for tree in trees for name in _assigned(tree)} - fixed
    letters = string.ascii_lowercase
    pairs = (first + second for first in letters for second in letters + string.digits)
    free = (pair for pair in pairs if pair not in fixed | everything)
    # Names of one file have numbers in a row, which bytecode says with the same first byte.
    order = dict.fromkeys(getattr(node, field) for node, field in found)
    long = [name for name in order if name in names and len(name) > 2 and name[0] != "_"]
    return {name: next(free, name) for name in long}


def _assigned(tree):
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (to.id for to in node.targets if isinstance(to, ast.Name))


def _named(tree):
    for node in ast.walk(tree):
        if type(node) in _FIELDS:
            yield node, _FIELDS[type(node)]


def _modules(tree):
    """(name in the file, the file of ours that it may stand for)"""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "tunlite":
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def numbers(sources):
    """{file: {name: value}} of public numbers that others ask for as `file.NAME`, if at all."""
    trees = {name: ast.parse(source) for name, source in sources.items()}
    fixed = set().union(*map(_fixed, trees.values()))
    asked = {}
    for tree in trees.values():
        ours = dict(_modules(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                where = ours.get(getattr(node.value, "id", ""))
                asked.setdefault(node.attr, set()).add(where)
    return {
        file: {
            name: value
            for name, value in _values(tree).items()
            if name.isupper() and name[0] != "_" and name not in fixed
            if asked.get(name, {file}) == {file}
        }
        for file, tree in trees.items()
    }


def _values(tree):
    """{name: value} of the numbers that the file binds once."""
    bound = list(_bound(tree))
    values = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if bound.count(name) == 1 and _is_number(value, values):
                    values[name] = eval(ast.unparse(value), {}, values)
    return values


class Inline(ast.NodeTransformer):
    """Puts numbers() of other files in place."""

    def __init__(self, tree, numbers):
        self.known = {name: numbers.get(file, {}) for name, file in _modules(tree)}

    def visit_Attribute(self, node):  # noqa: N802
        """The number for `file.NAME`."""
        self.generic_visit(node)
        known = self.known.get(getattr(node.value, "id", ""), {})
        return ast.Constant(known[node.attr]) if node.attr in known else node


class _Writer:
    """Statements as text, each in the line where it begins."""

    def __init__(self, count):
        self.lines = [""] * count

    def _put(self, number, depth, text):
        if "\n" in text or self.lines[number - 1]:
            raise ValueError(f"line {number} cannot be written: {text}")
        self.lines[number - 1] = " " * depth + text

    def body(self, statements, depth):
        """A block."""
        for node in statements:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                if len(statements) == 1:
                    self._put(node.lineno, depth, "pass")
            elif hasattr(node, "body"):
                self._compound(node, depth, "")
            else:
                self._put(node.lineno, depth, ast.unparse(node))

    def _head(self, node):
        if isinstance(node, ast.Try):
            return "try:"
        alone = copy.copy(node)
        alone.body = [ast.Pass()]
        alone.orelse = alone.decorator_list = []
        return ast.unparse(alone).strip().split("\n")[0]

    def _compound(self, node, depth, before):
        for decorator in getattr(node, "decorator_list", ()):
            self._put(decorator.lineno, depth, "@" + ast.unparse(decorator))
        self._put(node.lineno, depth, before + self._head(node))
        self.body(node.body, depth + 1)
        for handler in getattr(node, "handlers", ()):
            self._compound(handler, depth, "")
        rest = getattr(node, "orelse", None)
        if rest and isinstance(node, ast.If) and rest[0].col_offset == node.col_offset:
            self._compound(rest[0], depth, "el")
        else:
            self._part("else:", rest, depth)
        self._part("finally:", getattr(node, "finalbody", None), depth)

    def _part(self, head, statements, depth):
        if statements:
            self._put(statements[0].lineno - 1, depth, head)
            self.body(statements, depth + 1)


def name_of(path):
    """By which other files import it: tunlite.errors for tunlite/errors.py."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def is_frozen(path):
    """Whether the executable has the file: what only CPython or only gateways run is left out."""
    return not path.name.startswith("cpython") and "fleet" not in path.parts


class Program:
    """What is known of all files together, {name: text}; `known` are MicroPython's own names."""

    def __init__(self, sources, known=frozenset()):
        self.keywords = set(keywords(sources.values()))
        if any(len(name) == 1 for name in self.keywords):
            raise ValueError("an argument of one letter has no name in bytecode (pack.py)")
        self.numbers = numbers(sources)
        self.names = public(sources.values(), known)


def folded(source, program=None, file=""):
    """The text of a file for the compiler."""
    tree = ast.parse(source)
    given = set()
    if program:
        given = program.keywords
        tree = Inline(tree, program.numbers).visit(tree)
        _rename(tree, {name: f"_{name}" for name in program.numbers[file]})
        _rename(tree, program.names)
    numbers = fold_numbers(tree)
    _rename(tree, shortened(tree, numbers))
    _shorten_parameters(tree, given)
    ast.fix_missing_locations(tree)
    writer = _Writer(source.count("\n") + 1)
    writer.body(tree.body, 0)
    return "\n".join(writer.lines)
