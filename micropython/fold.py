# SPDX-License-Identifier: MIT
"""Tells MicroPython's compiler which private whole numbers of a file never change.

`_NAME = 3 << 3` becomes `_NAME = const(3 << 3)`, which that compiler puts in place wherever the
name stands: no name, no place in the module's dictionary, no look-up at run time. CPython runs the
files as they are.
"""

import ast

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


def folded(source):
    """The text of a file, every line where it was."""
    tree = ast.parse(source)
    bound = list(_bound(tree))
    lines = source.split("\n")
    known = set()
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                once = name.startswith("_") and bound.count(name) == 1
                if once and value.lineno == value.end_lineno and _is_number(value, known):
                    known.add(name)
                    line = lines[value.lineno - 1]
                    start, end = value.col_offset, value.end_col_offset
                    lines[value.lineno - 1] = f"{line[:start]}const({line[start:end]}){line[end:]}"
    return "\n".join(lines)
