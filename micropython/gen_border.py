# SPDX-License-Identifier: MIT
"""Writes the MicroPython module `_tunlite` from the border header: one checked call per function.

    python3 gen_border.py native/include/tunlite.h modtunlite.c

Calls are as in C, with bytes-like objects for pointers. A pointer's length is the int parameter
behind it, or the number that its name ends in. None stands for NULL where the length is 0, or where
the header allows it for a fixed length (NULLABLE).
"""

import re
import sys

NULLABLE = {"mac1_key32", "cookie_key32", "deadline8"}

_HEAD = """\
/* Written by gen_border.py from native/include/tunlite.h. */
#include "py/runtime.h"
#include "tunlite.h"

static int whole(mp_obj_t value) {
    mp_int_t n = mp_obj_get_int(value);
    if (n != (int)n) {
        mp_raise_msg(&mp_type_OverflowError, MP_ERROR_TEXT("more than a C int"));
    }
    return (int)n;
}

static unsigned char *buffer(mp_obj_t value, int length, int access) {
    mp_buffer_info_t found;
    if (value == mp_const_none && length == 0) {
        return NULL;
    }
    mp_get_buffer_raise(value, &found, (mp_uint_t)access);
    if (length < 0 || found.len < (size_t)length) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer shorter than its length"));
    }
    return found.buf;
}

static unsigned char *exact(mp_obj_t value, size_t length, int access) {
    mp_buffer_info_t found;
    mp_get_buffer_raise(value, &found, (mp_uint_t)access);
    if (found.len != length) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer of another length"));
    }
    return found.buf;
}

static unsigned char *exact_or_null(mp_obj_t value, size_t length, int access) {
    return value == mp_const_none ? NULL : exact(value, length, access);
}
"""


def declarations(header):
    """[(function, [(parameter, kind)])]: kind is "int", "in" or "out"."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.DOTALL)
    found = []
    for name, inside in re.findall(r"\bint (tl_\w+)\(([^)]*)\);", text):
        parameters = []
        for one in inside.split(","):
            match = re.fullmatch(r"\s*(int |const unsigned char \*|unsigned char \*)(\w+)\s*", one)
            if not match:
                raise ValueError(f"{name}: {one.strip()!r} is neither an int nor a byte pointer")
            kind = {"i": "int", "c": "in", "u": "out"}[match[1][0]]
            parameters.append((match[2], kind))
        found.append((name, parameters))
    return found


def _argument(name, index, parameters):
    parameter, kind = parameters[index]
    if kind == "int":
        return f"whole(a[{index}])"
    access = "MP_BUFFER_READ" if kind == "in" else "MP_BUFFER_WRITE"
    fixed = re.search(r"\d+$", parameter)
    if fixed and not parameter[: fixed.start()].endswith("_"):
        check = "exact_or_null" if parameter in NULLABLE else "exact"
        return f"{check}(a[{index}], {fixed[0]}, {access})"
    if index + 1 == len(parameters) or parameters[index + 1] != (parameter + "_len", "int"):
        raise ValueError(f"{name}: {parameter} has no length")
    return f"buffer(a[{index}], whole(a[{index + 1}]), {access})"


def _wrapper(name, parameters):
    arguments = [_argument(name, i, parameters) for i in range(len(parameters))]
    call = ",\n        ".join(arguments)
    count = len(parameters)
    return (
        f"\nstatic mp_obj_t call_{name}(size_t n, const mp_obj_t *a) {{\n"
        f"    (void)n;\n"
        f"    return mp_obj_new_int({name}(\n        {call}));\n"
        f"}}\n"
        f"static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(obj_{name}, {count}, {count}, call_{name});\n"
    )


def module(header):
    """The C text of the module."""
    functions = declarations(header)
    rows = [f"    {{MP_ROM_QSTR(MP_QSTR_{n}), MP_ROM_PTR(&obj_{n})}},\n" for n, _ in functions]
    return (
        _HEAD
        + "".join(_wrapper(name, parameters) for name, parameters in functions)
        + "\nstatic const mp_rom_map_elem_t globals_table[] = {\n"
        + "    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__tunlite)},\n"
        + "".join(rows)
        + "};\n"
        + "static MP_DEFINE_CONST_DICT(globals, globals_table);\n"
        + "const mp_obj_module_t mp_module__tunlite = "
        + "{{&mp_type_module}, (mp_obj_dict_t *)&globals};\n"
        + "MP_REGISTER_MODULE(MP_QSTR__tunlite, mp_module__tunlite);\n"
    )


def main():
    """gen_border.py HEADER OUTPUT"""
    with open(sys.argv[1], encoding="utf-8") as file:
        text = module(file.read())
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
