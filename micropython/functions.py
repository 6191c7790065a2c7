# SPDX-License-Identifier: MIT
"""Frozen functions as one array of bytecode; where each begins is worked out at the start.

MicroPython's tools write a table of pointers for each function that has others within, and a row
for each such function and each file. xz finds nothing in addresses. Here functions stand in the
order of a walk by breadth from the files' own: so those within one follow each other, a number
tells how many they are and another how long each is, and functions.h has the rest. What is alike,
methods beside methods and files' own functions beside each other, stands together by that.
"""

import re

_FILES_BEGIN = "/" * 80
_FILE_NAMES = re.compile(
    r"^const char mp_frozen_names\[\] = \{\n.*?^\};\n", re.DOTALL | re.MULTILINE
)
_FILE_NAME = re.compile(r'^    "([^"\\]+)\\0"$', re.MULTILINE)
_CODE = re.compile(
    r"^static const byte fun_data_(\w+)\[(\d+)\] = \{\n(.*?)^\};\n", re.DOTALL | re.MULTILINE
)
_WITHIN = re.compile(
    r"^static const mp_raw_code_t \*const children_(\w+)\[\] = \{\n(.*?)^\};\n",
    re.DOTALL | re.MULTILINE,
)
_CHILD = re.compile(r"&proto_fun_(\w+),")
_GENERATOR = re.compile(
    r"^static const mp_raw_code_truncated_t proto_fun_(\w+) = \{\n[^}]*?\.is_generator = 1,",
    re.MULTILINE,
)
_OBJECT = re.compile(
    r"^static (?:const )?mp_\w+ const_obj_(?!table_data_).*?;\n", re.DOTALL | re.MULTILINE
)
_OBJECTS = re.compile(
    r"^static const mp_rom_obj_t const_obj_table_data_(\w+)\[\d+\] = \{\n(.*?)^\};\n",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(
    r"^static const mp_frozen_module_t frozen_module_(\w+) = \{\n.*?\.source_file = (\w+),\n.*?"
    r"\.proto_fun = &proto_fun_(\w+),\n\};\n",
    re.DOTALL | re.MULTILINE,
)
_MOST_WITHIN = 127  # the eighth bit says that it is a generator


def file_names(frozen):
    """The names of the files, in their order."""
    return _FILE_NAME.findall(_FILE_NAMES.search(frozen)[0])


def walk(files, within):
    """All functions by breadth; `files`: the files' own, `within`: {function: those within}."""
    found = list(files)
    for name in found:
        found += within.get(name, ())
    return found


def _numbers(kind, name, numbers):
    lines = [numbers[at : at + 16] for at in range(0, len(numbers), 16)]
    text = "".join(f"    {', '.join(map(str, line))},\n" for line in lines)
    return f"static const {kind} {name}[] = {{\n{text}}};\n"


def _within(frozen):
    found = {name: _CHILD.findall(rows) for name, rows in _WITHIN.findall(frozen)}
    for name, rows in found.items():
        if len(rows) > _MOST_WITHIN:
            raise ValueError(f"{name}: {len(rows)} functions within one are too many")
    return found


def _objects(frozen, files):
    rows = dict(_OBJECTS.findall(frozen))
    counts = [rows.get(name, "").count("\n") for name in files]
    table = "".join(rows.get(name, "") for name in files)
    return (
        "".join(_OBJECT.findall(frozen))
        + f"static const mp_rom_obj_t frozen_objects[] = {{\n{table}    MP_ROM_NONE,\n}};\n"
        + _numbers("byte", "objects_of_file", counts)
    )


def unpointed(frozen):
    """The frozen code for functions.h: its functions, their lengths, and what they refer to."""
    within, code = _within(frozen), {row[1]: row for row in _CODE.finditer(frozen)}
    generators = set(_GENERATOR.findall(frozen))
    files = _FILE.findall(frozen)
    order = walk([row[2] for row in files], within)
    if sorted(order) != sorted(code):
        raise ValueError("some function is in no file, or in two")
    lengths = [int(code[name][2]) for name in order]
    inside = [
        len(within.get(n, ())) | (128 if n in generators and n in within else 0) for n in order
    ]
    return (
        frozen[: frozen.index(_FILES_BEGIN)]
        + _FILE_NAMES.search(frozen)[0]
        + f"#define FROZEN_FILES {len(files)}\n#define FIRST_FILE {files[0][1]}\n"
        + _objects(frozen, [row[0] for row in files])
        + f"#define FROZEN_PARENTS {len(within)}\n"
        + "static const byte frozen_code[] = {\n"
        + "".join(f"    // {name}\n{code[name][3]}" for name in order)
        + "};\n"
        + _numbers("byte", "length_low", [length & 255 for length in lengths])
        + _numbers("byte", "length_high", [length >> 8 for length in lengths])
        + _numbers("byte", "functions_within", inside)
        + '#include "functions.h"\n'
    )
