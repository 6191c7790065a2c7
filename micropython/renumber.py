# SPDX-License-Identifier: MIT
"""Frozen bytecode that says names by their numbers, not by places in a table of each file.

The names used most get the numbers below 128, which take one byte in bytecode. Other numbers are
longer than places were, so the lengths of functions and their jumps are worked out anew. Formats
are those of MicroPython 1.25 (py/bc.h, py/bc0.h); bytecode with line numbers is refused, since
those count bytes of bytecode.

A function may go without the names of its arguments: only a call that gives one by its name looks
for them, and what is given so keeps a longer name than one letter (fold.py).
"""

import re
from collections import Counter

ONE_BYTE = 128  # numbers below take one byte
_BYTE_NAMES = 256  # MicroPython keeps the numbers of some names in bytes:
_IN_BYTES = ("MP_QSTR___", "MP_QSTR__lt_")  # of operators, and of what has no name ("<lambda>")
_FUNCTION = re.compile(
    r"^(static const byte fun_data_\w+\[)\d+(\] = \{\n)(.*?)^(\};\n)", re.DOTALL | re.MULTILINE
)
_NAME, _OFFSET = 1, 3  # formats of what follows an opcode
_FORMATS = 0x000003A4  # two bits for each sixteen opcodes
_EXTRA = 0x9E  # an opcode without these bits has one byte more
_SIGNED = (0x40, 0x42, 0x43, 0x44)  # UNWIND_JUMP, JUMP, POP_JUMP_IF_TRUE, POP_JUMP_IF_FALSE


def decoded(octets):
    """Whole numbers from their bytes, seven bits in each, the last without the eighth."""
    value = 0
    for byte in octets:
        value = value << 7 | byte & 127
        if byte < 128:
            yield value
            value = 0


def encoded(value):
    """The bytes of a whole number."""
    octets = [value & 127]
    while value := value >> 7:
        octets.insert(0, value & 127 | 128)
    return octets


class _Op:
    """One line: an opcode and what belongs to it."""

    def __init__(self, line, at, numbers):
        octets, self.text = _bytes_of(line)
        self.at = at
        self.end = at + len(octets)
        code = octets[0]
        kind = _FORMATS >> 2 * (code >> 4) & 3
        self.target = None
        self.head, self.tail = [code], octets[1:]
        if kind == _NAME:
            self.tail = encoded(numbers[next(decoded(octets[1:]))])
        elif kind == _OFFSET:
            self.tail = [] if code & _EXTRA else octets[-1:]
            self.signed = 64 if code in _SIGNED else 0
            jump = octets[1 : len(octets) - len(self.tail)]
            self.target = self.end - len(self.tail) + self._distance(jump)
            self.long = False

    def _distance(self, jump):
        if len(jump) == 1:
            return jump[0] - self.signed
        return (jump[0] & 127 | jump[1] << 7) - (self.signed << 8)

    def size(self):
        return len(self.head) + len(self.tail) + (0 if self.target is None else 1 + self.long)

    def jump(self, distance):
        """The bytes of the jump; None where so few cannot say it."""
        short = distance + self.signed
        if not self.long:
            return [short] if 0 <= short < 128 else None
        far = distance + (self.signed << 8)
        if not 0 <= far < 1 << 15:
            raise ValueError(f"{self.text}: a jump of {distance} bytes cannot be written")
        return [far & 127 | 128, far >> 7]


def _bytes_of(line):
    octets, _, text = line.partition(" // ")
    return [int(byte, 16) for byte in octets.strip(" ,").split(",") if byte], text


def _line(octets, text):
    return f"    {''.join(f'0x{byte:02x},' for byte in octets)} // {text}\n"


def _laid_out(ops):
    """The lines of the ops, jumps as short as can be."""
    while True:
        starts, at = {}, 0
        for op in ops:
            starts[op.at] = at
            at += op.size()
        lines, all_fit = [], True
        for op in ops:
            octets = list(op.head)
            if op.target is not None:
                after = starts[op.at] + op.size() - len(op.tail)
                jump = op.jump(starts[op.target] - after)
                if jump is None:
                    op.long, all_fit = True, False
                    continue
                octets += jump
            lines.append((octets + op.tail, op.text))
        if all_fit:
            return lines


def _prelude(octets, names_before, names):
    """The bytes before the names, where those became `names` bytes: see py/bc.h."""
    signature = 1
    while octets[signature - 1] & 128:
        signature += 1
    size = octets[signature:]
    info = sum((byte >> 1 & 63) << 6 * n for n, byte in enumerate(size))
    cells = sum((byte & 1) << n for n, byte in enumerate(size))
    if info != names_before:
        raise ValueError("bytecode with line numbers cannot be renumbered")
    out = octets[:signature]
    while True:
        byte = (names & 63) << 1 | cells & 1
        names, cells = names >> 6, cells >> 1
        out.append(byte | (128 if names or cells else 0))
        if not (names or cells):
            return out


def _said(octets, text, arguments):
    """The places in a function's head that stay: its name's, and its arguments'."""
    found = list(decoded(octets))
    given = text.split(", ")[1:]
    return found if arguments or any(len(name) > 1 for name in given) else found[:1]


def _function(numbers, arguments, row):
    prelude, names, cells, *code = row[3].splitlines()
    before, text = _bytes_of(names)
    places = _said(before, text, arguments)
    after = [byte for place in places for byte in encoded(numbers[place])]
    text = ", ".join(text.split(", ")[: len(places)])
    head = _prelude(_bytes_of(prelude)[0], len(before), len(after))
    ops, at = [], 0
    for line in code:
        ops.append(_Op(line, at, numbers))
        at = ops[-1].end
    lines = [(head, "prelude"), (after, text), _bytes_of(cells), *_laid_out(ops)]
    length = sum(len(octets) for octets, _ in lines)
    return f"{row[1]}{length}{row[2]}{''.join(_line(*line) for line in lines)}{row[4]}"


def renumbered(code, numbers, arguments=True):
    """A file's code; `numbers`: of the names in its table; `arguments`: functions name those
    of one letter."""
    return _FUNCTION.sub(lambda row: _function(numbers, arguments, row), code)


def uses(code, table, arguments=True):
    """How often each name of the file's table is said in its code."""
    found = Counter()
    for row in _FUNCTION.finditer(code):
        _, names, _, *ops = row[3].splitlines()
        found.update(table[place] for place in _said(*_bytes_of(names), arguments))
        for line in ops:
            octets, _ = _bytes_of(line)
            if _FORMATS >> 2 * (octets[0] >> 4) & 3 == _NAME:
                found[table[next(decoded(octets[1:]))]] += 1
    return found


def order(known, own, often):
    """([names of no order, in their order], [MicroPython's others], [the frozen code's others]).

    `known`: (its pool, name) of MicroPython's names, `own`: names that only frozen code has,
    `often`: a Counter of names. The first two numbers are MicroPython's "none" and "".
    """
    first = [name for _, name in known[:2]]
    top = [name for name, _ in sorted(often.items(), key=lambda row: (-row[1], row[0]))]
    first += [name for name in top if name not in first][: ONE_BYTE - len(first)]
    chosen = set(first)
    rest = [name for pool, name in known if pool == "0" and name not in chosen]
    in_bytes = [name for name in rest if name.startswith(_IN_BYTES)]
    if len(first) + len(in_bytes) > _BYTE_NAMES:
        raise ValueError(f"{len(in_bytes)} names of operators have no room below {_BYTE_NAMES}")
    first += in_bytes + [name for name in rest if name not in set(in_bytes)]
    return (
        first,
        [name for pool, name in known if pool == "1" and name not in chosen],
        [name for name in own if name not in chosen],
    )
