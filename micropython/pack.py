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
which the names used most come first (renumber.py). Functions are one array and have no pointers
(functions.py). Not where bytecode tells lines.

--no-arguments, with it: nor do functions name arguments of one letter.
"""

import functools
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import functions  # noqa: E402
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


def _most_free(tables):
    """The place that is free in most of the tables; None when there is none in any."""
    free = Counter(place for places in tables for place in places)
    return max(free, key=lambda place: (free[place], place), default=None)


def places(tables):
    """{name: its place} for each table: as many bytes as before, the first name where it was."""
    new = [{table[0]: 0} for table in tables]
    free = [set(range(1, len(table))) for table in tables]
    rows = [
        (name, at < renumber.ONE_BYTE) for table in tables for at, name in enumerate(table) if at
    ]
    # Names of one file end up in the order of their numbers.
    often = sorted(Counter(rows).items(), key=lambda row: (row[1], row[0]), reverse=True)
    for (name, short), _ in often:
        left = {
            number
            for number, table in enumerate(tables)
            if name in table[1:] and (table.index(name) < renumber.ONE_BYTE) == short
        }
        while left:
            rooms = {n: {at for at in free[n] if (at < renumber.ONE_BYTE) == short} for n in left}
            place = _most_free(rooms.values())
            for number in [number for number in left if place in rooms[number]]:
                new[number][name] = place
                free[number].remove(place)
                left.remove(number)
    return new


def ordered(frozen):
    """The frozen code with its tables of names, and the places in bytecode, in their new order."""
    *files, last = _files(frozen)
    out = []
    for (code, head, table), new in zip(files, places([row[2] for row in files]), strict=True):
        moves = [new[name] for name in table]
        out.append(_PLACES.sub(functools.partial(_moved, moves), code) + head)
        out += [f"    {name},\n" for name in sorted(table, key=new.get)]
        out.append("};\n")
    return "".join(out) + last[0]


def _moved(new, line):
    head, old = line[1] or line[3], line[2] or line[4]
    octets = [int(byte, 16) for byte in old.rstrip(",").split(",")]
    moved = [byte for place in renumber.decoded(octets) for byte in renumber.encoded(new[place])]
    return head + "".join(f"0x{byte:02x}," for byte in moved)


def _in_a_section(row):
    section = ".rodata.frozen_" + ("code" if " byte " in row[1] else "names")
    return f'{row[1]} __attribute__((section("{section}"))) = '


def _files(frozen):
    """(code of a file, the first line of its table, the names in it) of each; at last what is
    left."""
    end = 0
    for row in _TABLE.finditer(frozen):
        names = [line.strip(" ,") for line in row[1].splitlines()]
        yield frozen[end : row.start()], frozen[row.start() : row.start(1)], names
        end = row.end()
    yield frozen[end:], "", []


def _row(pool, name, text):
    return f"QDEF{pool}({name}, 0, 0, {text})"  # hash and length: names.h asks for neither


def _files_last(names, texts, files):
    """The names with the files' own behind all others, where names.h looks for them."""
    if files != sorted(files):
        raise ValueError("files are not in the order of their names")
    texts = {name: texts[name] for name in names}
    last = [name for file in files for name in names if texts[name] == f'"{file}"']
    return [name for name in names if name not in set(last)] + last


def numbered(frozen, names, arguments=True):
    """(the frozen code without tables of names, the header of MicroPython's names anew)."""
    known, pool = _KNOWN.findall(names), _POOL.search(frozen)
    own = re.findall(r"MP_QSTR_\w+", _OWN.search(frozen)[1])
    texts = {name: text for _, name, text in known} | dict(
        zip(own, _TEXT.findall(pool[1]), strict=True)
    )
    files = list(_files(frozen))
    often = sum((renumber.uses(code, table, arguments) for code, _, table in files), Counter())
    first, rest, left = renumber.order([row[:2] for row in known], own, often)
    left = _files_last(left, texts, functions.file_names(frozen))
    numbers = {name: number for number, name in enumerate([*first, *rest, *left])}
    sources = {head.split("[", 1)[0].split()[-1]: table[0] for _, head, table in files if table}
    code = "".join(
        renumber.renumbered(code, [numbers[name] for name in table], arguments)
        for code, _, table in files
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


def packed(frozen, names, files=0):
    """The new file from the texts of the two that MicroPython's tools write.

    `files`: how many of the last names are those of files, which the code has already.
    """
    frozen = _ALIKE.sub(_in_a_section, frozen)
    pool = _POOL.search(frozen)
    known = _KNOWN.findall(names)
    ours = _TEXT.findall(pool[1])
    ours = ours[: len(ours) - files]
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
    if "--numbers" in arguments[3:]:
        code, known = numbered(code, known, "--no-arguments" not in arguments[3:])
        _write(Path(arguments[4]), known)
        code = packed(functions.unpointed(code), known, len(functions.file_names(code)))
    else:
        code = packed(ordered(code), known)
    out.write_text(code)


if __name__ == "__main__":
    main(sys.argv[1:])
