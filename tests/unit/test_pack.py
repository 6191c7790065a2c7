# SPDX-License-Identifier: MIT
"""micropython/pack.py: the frozen code with its names as one text."""

import importlib.util
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("pack", _ROOT / "micropython" / "pack.py")
pack = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(pack)
functions = pack.functions

_KNOWN = """
QDEF0(MP_QSTRnull, 0, 0, "")
QDEF1(MP_QSTR_EIO, 42630, 3, "EIO")
QDEF0(MP_QSTR__0x0a_, 46511, 1, "\\x0a")
"""


def _frozen(*names):
    return "\n".join(
        (
            "enum { A };",
            "const qstr_len_t mp_qstr_frozen_const_lengths[] = {",
            *("    1," for _ in names),
            "};",
            "",
            "extern const qstr_pool_t mp_qstr_const_pool;",
            "const qstr_pool_t mp_qstr_frozen_const_pool = {",
            "    &mp_qstr_const_pool, // previous pool",
            "    {",
            *(f"        {name}," for name in names),
            "    },",
            "};",
            "",
            'static const mp_obj_str_t a_1 = {{&mp_type_str}, 37706, 3, (const byte*)"a{}"};',
            'static const mp_obj_str_t a_2 = {{&mp_type_bytes}, 8091, 4, (const byte*)"b"};',
            "",
        )
    )


def test_names_stand_in_the_order_of_their_numbers_with_a_zero_behind_each():
    out = pack.packed(_frozen('"\\x00"', '"a, \\x22"', '"b"'), _KNOWN)
    start = out.index("packed_names[] =\n")
    assert out[start:].split("\n")[1:-3] == [
        '    "" "\\x00"',
        '    "\\x0a" "\\x00"',
        '    "EIO" "\\x00"',
        '    "\\x00" "\\x00"',
        '    "a, \\x22" "\\x00"',
        '    "b" "\\x00"',
    ]
    assert "#define FROZEN_NAMES 3\n" in out


def test_the_pool_that_it_replaces_is_gone_and_the_rest_stays():
    out = pack.packed(_frozen('"a"'), _KNOWN)
    assert "mp_qstr_frozen" not in out
    assert out.startswith("enum { A };\n")


def test_hashes_of_texts_are_not_known_and_can_be_written():
    out = pack.packed(_frozen('"a"'), _KNOWN)
    assert '\nstatic mp_obj_str_t a_1 = {{&mp_type_str}, 0, 3, (const byte*)"a{}"}' in out
    assert '\nstatic mp_obj_str_t a_2 = {{&mp_type_bytes}, 0, 4, (const byte*)"b"}' in out


def test_a_name_with_a_zero_among_other_letters_is_refused():
    with pytest.raises(ValueError, match="zero"):
        pack.packed(_frozen('"a\\x00b"'), _KNOWN)


def test_all_bytecode_stands_in_one_section_and_all_tables_of_names_in_another():
    code = "static const byte fun_data_a_f[2] = {\n    0x10,0x02, // prelude\n};\n"
    out = pack.packed(code + _table("a", "MP_QSTR_f") + _frozen('"a"'), _KNOWN)
    section = re.compile(r'^static const \w+ (\w+)\[\d\] __attr.*"(.*)"\)\)\) = \{$', re.MULTILINE)
    assert section.findall(out) == [
        ("fun_data_a_f", ".rodata.frozen_code"),
        ("const_qstr_table_data_a", ".rodata.frozen_names"),
    ]


def _table(module, *names):
    head = f"static const qstr_short_t const_qstr_table_data_{module}[{len(names)}] = {{\n"
    return head + "".join(f"    {name},\n" for name in names) + "};\n"


def test_a_name_of_several_files_has_one_place_in_bytecode():
    code = "    0x12,0x01, // LOAD_GLOBAL 'len'\n    0x02,0x03, // names: x, a\n"
    other = "    0x14,0x03, // LOAD_METHOD 'x'\n    0x34,0x01, // CALL_FUNCTION 1\n"
    out = pack.ordered(
        code + _table("a", "A", "LEN", "X", "ONE") + other + _table("b", "B", "TWO", "LEN", "X")
    )
    assert out == (
        "    0x12,0x02, // LOAD_GLOBAL 'len'\n    0x03,0x01, // names: x, a\n"
        + _table("a", "A", "ONE", "LEN", "X")
        + "    0x14,0x03, // LOAD_METHOD 'x'\n    0x34,0x01, // CALL_FUNCTION 1\n"
        + _table("b", "B", "TWO", "LEN", "X")
    )


def test_a_place_takes_as_many_bytes_as_before_and_each_name_keeps_one():
    tables = [[f"F{n}", *(f"N{(n * 7 + i) % 300}" for i in range(60 + 70 * n))] for n in range(4)]
    for table, new in zip(tables, pack.places(tables), strict=True):
        assert sorted(new.values()) == list(range(len(table)))
        assert new[table[0]] == 0
        assert all((new[name] < 128) == (at < 128) for at, name in enumerate(table))


def test_a_place_of_two_bytes_is_read_and_written():
    names = [f"N{number}" for number in range(130)]
    line = "    0x12,0x81,0x01, // LOAD_GLOBAL 'x'\n"
    new = pack.places([names])[0]["N129"]
    assert f"    0x12,0x81,0x0{new - 128}, //" in pack.ordered(line + _table("a", *names))


_OWN_NAMES = """enum {
    MP_QSTR_a_py = MP_QSTRnumber_of,
    MP_QSTR_f,
    MP_QSTR_seldom,
};
"""
_MODULE = """static const mp_frozen_module_t frozen_module_a = {
    .constants = {
        .qstr_table = (qstr_short_t *)&const_qstr_table_data_a,
        .obj_table = NULL,
    },
"""


_FILES = 'const char mp_frozen_names[] = {\n    "a.py\\0"\n    "\\0"\n};\n'


def test_with_numbers_there_are_no_tables_and_what_is_said_is_numbered_first():
    code = (
        "static const byte fun_data_a_f[6] = {\n    0x10,0x02, // prelude\n    0x01, // names: f\n"
        "     // code info\n    0x12,0x02, // LOAD_GLOBAL 'EIO'\n    0x51, // LOAD_CONST_NONE\n};\n"
    )
    table = _table("a", "MP_QSTR_a_py", "MP_QSTR_f", "MP_QSTR_EIO")
    frozen = _OWN_NAMES + _frozen('"a.py"', '"f"', '"seldom"') + code + table + _MODULE + _FILES
    known = 'QDEF0(MP_QSTRnull, 0, 0, "")\nQDEF0(MP_QSTR_, 5381, 0, "")\n'
    known += 'QDEF1(MP_QSTR_EIO, 42630, 3, "EIO")\n'
    out, header = pack.numbered(frozen, known)
    assert "const_qstr_table" not in out and "        .source_file = MP_QSTR_a_py,\n" in out
    names = re.findall(r"^QDEF(\d)\((\w+), 0, 0, (.*)\)$", header, re.MULTILINE)
    assert names == [
        ("0", "MP_QSTRnull", '""'),
        ("0", "MP_QSTR_", '""'),
        ("0", "MP_QSTR_EIO", '"EIO"'),
        ("0", "MP_QSTR_f", '"f"'),
    ]
    assert "    0x12,0x02, // LOAD_GLOBAL 'EIO'\n" in out and "    0x03, // names: f\n" in out
    assert "enum {\n    MP_QSTR_seldom = MP_QSTRnumber_of,\n    MP_QSTR_a_py,\n};\n" in out
    packed = pack.packed(out, header, files=1)
    assert "#define FROZEN_NAMES 1\n" in packed
    assert packed[packed.index("packed_names[] =\n") :].split("\n")[1:-3] == [
        '    "" "\\x00"',
        '    "" "\\x00"',
        '    "EIO" "\\x00"',
        '    "f" "\\x00"',
        '    "seldom" "\\x00"',
    ]


def _raw(name, generator, children):
    return (
        f"static const mp_raw_code_truncated_t proto_fun_{name} = {{\n    .kind = 0,\n"
        f"    .is_generator = {generator},\n    .children = {children},\n}};\n"
    )


def _code(name, *octets):
    line = "".join(f"0x{byte:02x}," for byte in octets)
    return f"static const byte fun_data_{name}[{len(octets)}] = {{\n    {line}\n}};\n"


def _children(name, *inside):
    rows = "".join(f"    (const mp_raw_code_t *)&proto_fun_{child},\n" for child in inside)
    return f"static const mp_raw_code_t *const children_{name}[] = {{\n{rows}}};\n"


def _file(name):
    return (
        f"static const mp_rom_obj_tuple_t const_obj_{name}_0 = {{{{&mp_type_tuple}}, 1, {{\n"
        "    MP_ROM_INT(0),\n}};\n"
        f"static const mp_rom_obj_t const_obj_table_data_{name}[1] = {{\n"
        f"    MP_ROM_PTR(&const_obj_{name}_0),\n}};\n"
        f"static const mp_frozen_module_t frozen_module_{name} = {{\n    .constants = {{\n"
        f"        .source_file = MP_QSTR_{name}_py,\n    }},\n"
        f"    .proto_fun = &proto_fun_{name}_m,\n}};\n"
    )


_TWO_FILES = (
    "head\n"
    + "/" * 80
    + "\n"
    # Inner functions before those around them, as MicroPython's tools write them.
    + _code("a_f_g", 1)
    + _code("a_f", 2, 2)
    + _children("a_f", "a_f_g")
    + _raw("a_f", 1, "x")
    + _code("a_h", *([3] * 300))
    + _code("a_m", 4)
    + _children("a_m", "a_f", "a_h")
    + _raw("a_m", 0, "x")
    + _file("a")
    + _code("b_m", 5, 5, 5)
    + _file("b").replace("const_obj_table_data_b", "const_obj_table_data_unused")
    + 'const char mp_frozen_names[] = {\n    "a.py\\0"\n    "b.py\\0"\n    "\\0"\n};\n'
)


def _array(out, name):
    rows = re.search(rf"^static const byte {name}\[\] = \{{\n(.*?)^\}};", out, re.S | re.M)[1]
    return [int(number) for number in re.findall(r"\d+", rows)]


def test_functions_stand_by_breadth_and_numbers_tell_what_pointers_told():
    out = functions.unpointed(_TWO_FILES)
    assert re.findall(r"^    // (\w+)$", out, re.MULTILINE) == ["a_m", "b_m", "a_f", "a_h", "a_f_g"]
    assert _array(out, "length_low") == [1, 3, 2, 300 - 256, 1]
    assert _array(out, "length_high") == [0, 0, 0, 1, 0]
    assert _array(out, "functions_within") == [2, 0, 128 + 1, 0, 0]
    assert "#define FROZEN_PARENTS 2\n" in out and "fun_data" not in out


def test_the_objects_of_all_files_are_one_table():
    out = functions.unpointed(_TWO_FILES)
    assert "#define FROZEN_FILES 2\n#define FIRST_FILE MP_QSTR_a_py\n" in out
    assert _array(out, "objects_of_file") == [1, 0]
    assert out.count("MP_ROM_PTR(&const_obj_a_0)") == 1 and "const_obj_table" not in out
    assert out.index("const_obj_a_0 = ") < out.index("frozen_objects[]")


def test_a_function_that_no_file_has_is_refused():
    with pytest.raises(ValueError, match="in no file"):
        functions.unpointed(_TWO_FILES + _code("c_f", 1))


def test_more_functions_within_one_than_a_number_can_tell_are_refused():
    many = [f"n{number}" for number in range(128)]
    with pytest.raises(ValueError, match="too many"):
        functions.unpointed(_TWO_FILES + _children("a_h", *many))


def test_files_out_of_order_are_refused_because_names_are_searched_by_halves():
    with pytest.raises(ValueError, match="order"):
        pack._files_last([], {}, ["b.py", "a.py"])
