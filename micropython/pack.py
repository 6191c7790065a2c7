# SPDX-License-Identifier: MIT
"""`python3 pack.py FROZEN_CONTENT QSTRDEFS OUT [OPTIONS]`: frozen code as C again, smaller.

MicroPython's tools write a pointer and a length for each name, and a hash into each longer text.
Here all names are one text with a zero behind each, which names.h takes apart at the start, and
hashes are 0, for "not known". MicroPython writes the hash of a text that becomes an exception's
into it: texts are not constants.

Bytecode says a name by its place in its file's table of names. One that several files use gets the
same place in as many of them as can be, so that the same calls are the same bytes everywhere: the
executable is no smaller, but it as xz. So does what is alike stand together: a section has all
bytecode, and one all tables of names.

--numbers: bytecode says names by their numbers and there are no tables; HEADER is QSTRDEFS anew, in
which the names used most come first (renumber.py). Not where bytecode tells lines.

--no-arguments: a function's bytecode does not name its arguments. Only a call that gives one by its
name looks for them, and what is given so keeps a longer name than one letter (fold.py). Where
bytecode tells lines, they would be looked for behind those names: not there.
"""

import functools
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import renumber  # noqa: E402

# From the lengths of the frozen names to the end of their pool; group 1 are the names.
_POOL = re.compile(
    r"^const qstr_len_t mp_qstr_frozen_const_lengths\[\] = \{\n"
    r".*^const qstr_pool_t mp_qstr_frozen_const_pool = \{\n.*?^    \{\n(.*?)^    \},\n\};\n",
    re.DOTALL | re.MULTILINE,
)
_TEXT = re.compile(r'^ *("(?:[^"\\]|\\.)*"),$', re.MULTILINE)
_KNOWN = re.compile(r'^QDEF([01])\((\w+), \d+, \d+, ("(?:[^"\\]|\\.)*")\)$', re.MULTILINE)
_OWN = re.compile(r"^enum \{\n((?:    MP_QSTR_\w+(?: = MP_QSTRnumber_of)?,\n)*)\};\n", re.MULTILINE)
_TABLE_OF = re.compile(
    r"^        \.qstr_table = \(qstr_short_t \*\)&(const_qstr_table_data_\w+),$", re.MULTILINE
)
_HASH = re.compile(r"^static const (mp_obj_str_t \w+ = \{\{&mp_type_\w+\}, )\d+,", re.MULTILINE)
# What makemanifest.py says of a file: bytecode with its comments, then the names that it uses.
_TABLE = re.compile(
    r"^static const qstr_short_t const_qstr_table_data_\w+\[\d+\] = \{\n(.*?)^\};\n",
    re.DOTALL | re.MULTILINE,
)
# They hold no addresses, which .rodata must not where the executable is moved at its start.
_ALIKE = re.compile(
    r"^(static const (?:byte fun_data|qstr_short_t const_qstr_table)_\w+\[\d+\]) = ", re.MULTILINE
)
_PLACES = re.compile(
    r"^(    0x\w\w,)((?:0x\w\w,)+)(?= // [A-Z_]+ ['\"])|^(    )((?:0x\w\w,)+)(?= // names: )",
    re.MULTILINE,
)
_ARGUMENTS = re.compile(
    r"^(static const byte fun_data_\w+\[)(\d+)(\] = \{\n    )((?:0x\w\w,)+)( // prelude\n    )"
    r"((?:0x\w\w,)+)( // names: [^,\n]+)(?:, [a-zA-Z])+$",
    re.MULTILINE,
)
_ONE_BYTE = 128  # places below take one byte in bytecode, others two


def _decoded(text):
    """Places from the bytes of `text`."""
    value = 0
    for byte in text.rstrip(",").split(","):
        value = value << 7 | int(byte, 16) & 127
        if int(byte, 16) < 128:
            yield value
            value = 0


def _encoded(place):
    if place < _ONE_BYTE:
        return f"0x{place:02x},"
    return f"0x{place >> 7 | 128:02x},0x{place & 127:02x},"


def _most_free(tables):
    """The place that is free in most of the tables; None when there is none in any."""
    free = Counter(place for places in tables for place in places)
    return max(free, key=lambda place: (free[place], place), default=None)


def places(tables):
    """{name: its place} for each table: as many bytes as before, the first name where it was."""
    new = [{table[0]: 0} for table in tables]
    free = [set(range(1, len(table))) for table in tables]
    rows = [(name, at < _ONE_BYTE) for table in tables for at, name in enumerate(table) if at]
    # Names of one file end up in the order of their numbers.
    often = sorted(Counter(rows).items(), key=lambda row: (row[1], row[0]), reverse=True)
    for (name, short), _ in often:
        left = {
            number
            for number, table in enumerate(tables)
            if name in table[1:] and (table.index(name) < _ONE_BYTE) == short
        }
        while left:
            rooms = {n: {at for at in free[n] if (at < _ONE_BYTE) == short} for n in left}
            place = _most_free(rooms.values())
            for number in [number for number in left if place in rooms[number]]:
                new[number][name] = place
                free[number].remove(place)
                left.remove(number)
    return new


def _shorter(prelude, less):
    """The bytes before the names, where those are so many bytes less: see py/bc.h."""
    prelude = [int(byte, 16) for byte in prelude.rstrip(",").split(",")]
    signature = 1
    while prelude[signature - 1] & 128:
        signature += 1
    size = prelude[signature:]
    names = sum((byte >> 1 & 63) << 6 * n for n, byte in enumerate(size)) - less
    for n, byte in enumerate(size):  # as many bytes as before: a zero may stand in the last
        size[n] = byte & 129 | (names >> 6 * n & 63) << 1
    return "".join(f"0x{byte:02x}," for byte in (*prelude[:signature], *size))


def _no_arguments(row):
    start, length, head, prelude, behind, names, text = row.groups()
    name = _encoded(next(_decoded(names)))
    less = (len(names) - len(name)) // len("0x00,")
    return f"{start}{int(length) - less}{head}{_shorter(prelude, less)}{behind}{name}{text}"


def without_arguments(frozen):
    """The frozen code whose functions do not name arguments of one letter."""
    return _ARGUMENTS.sub(_no_arguments, frozen)


def ordered(frozen):
    """The frozen code with its tables of names, and the places in bytecode, in their new order."""
    found = list(_TABLE.finditer(frozen))
    tables = [[line.strip(" ,") for line in row[1].splitlines()] for row in found]
    out, end = [], 0
    for row, table, new in zip(found, tables, places(tables), strict=True):
        code, end = frozen[end : row.start()], row.end()
        moves = [new[name] for name in table]
        out.append(_PLACES.sub(functools.partial(_moved, moves), code))
        names = "".join(f"    {name},\n" for name in sorted(table, key=new.get))
        out.append(frozen[row.start() : row.start(1)] + names + "};\n")
    return "".join(out) + frozen[end:]


def _moved(new, line):
    head, old = line[1] or line[3], line[2] or line[4]
    return head + "".join(_encoded(new[place]) for place in _decoded(old))


def _in_a_section(row):
    section = ".rodata.frozen_" + ("code" if " byte " in row[1] else "names")
    return f'{row[1]} __attribute__((section("{section}"))) = '


def _files(frozen):
    """(code of a file, the name of its table, the names in it) of each; at last what is left."""
    end = 0
    for row in _TABLE.finditer(frozen):
        table = row[0].split("[", 1)[0].split()[-1]
        yield frozen[end : row.start()], table, [line.strip(" ,") for line in row[1].splitlines()]
        end = row.end()
    yield frozen[end:], None, []


def _row(pool, name, text):
    return f"QDEF{pool}({name}, 0, 0, {text})"  # hash and length: names.h asks for neither


def numbered(frozen, names):
    """(the frozen code without tables of names, the header of MicroPython's names anew)."""
    known, pool = _KNOWN.findall(names), _POOL.search(frozen)
    own = re.findall(r"MP_QSTR_\w+", _OWN.search(frozen)[1])
    texts = {name: text for _, name, text in known} | dict(
        zip(own, _TEXT.findall(pool[1]), strict=True)
    )
    files = list(_files(frozen))
    often = sum((renumber.uses(code, table) for code, _, table in files), Counter())
    first, rest, left = renumber.order([row[:2] for row in known], own, often)
    numbers = {name: number for number, name in enumerate([*first, *rest, *left])}
    sources = {table: places[0] for _, table, places in files if table}
    code = "".join(
        renumber.renumbered(code, [numbers[name] for name in table]) for code, _, table in files
    )
    code = _TABLE_OF.sub(lambda row: f"        .source_file = {sources[row[1]]},", code)
    enum = "".join(
        f"    {name}{'' if n else ' = MP_QSTRnumber_of'},\n" for n, name in enumerate(left)
    )
    code = _OWN.sub(lambda _: f"enum {{\n{enum}}};\n", code)
    code = _POOL.sub(
        lambda row: row[0].replace(row[1], "".join(f"        {texts[n]},\n" for n in left)), code
    )
    header = [_row(0, name, texts[name]) for name in first] + [_row(1, n, texts[n]) for n in rest]
    return code, "\n".join(header) + "\n"


def packed(frozen, names):
    """The new file from the texts of the two that MicroPython's tools write."""
    frozen = _ALIKE.sub(_in_a_section, frozen)
    pool = _POOL.search(frozen)
    known = _KNOWN.findall(names)
    ours = _TEXT.findall(pool[1])
    texts = [text for _, _, text in sorted(known, key=lambda row: row[0])] + ours
    # names.h finds the ends by the zeros, and takes an empty name for a single zero.
    if any("\\x00" in text and text != '"\\x00"' for text in texts):
        raise ValueError("a name with a zero in it cannot be packed")
    code = _HASH.sub(r"static \g<1>0,", frozen[: pool.start()] + frozen[pool.end() :])
    lines = "".join(f'    {text} "\\x00"\n' for text in texts)
    return (
        f"{code}\n#define FROZEN_NAMES {len(ours)}\n"
        f'static const char packed_names[] =\n{lines};\n#include "names.h"\n'
    )


def _write(path, text):
    """Writes the file if it is another one: what is newer is compiled anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(arguments):
    """pack.py FROZEN_CONTENT QSTRDEFS OUT [--numbers HEADER [--no-arguments]]."""
    frozen, names, out = map(Path, arguments[:3])
    code, known = frozen.read_text(), names.read_text()
    if "--no-arguments" in arguments[3:]:
        code = without_arguments(code)
    if "--numbers" in arguments[3:]:
        code, known = numbered(code, known)
        _write(Path(arguments[4]), known)
    else:
        code = ordered(code)
    out.write_text(packed(code, known))


if __name__ == "__main__":
    main(sys.argv[1:])
