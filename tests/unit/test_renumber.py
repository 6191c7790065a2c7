# SPDX-License-Identifier: MIT
"""micropython/renumber.py: bytecode whose names become numbers, with jumps and lengths anew."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("renumber", _ROOT / "micropython" / "renumber.py")
renumber = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(renumber)


def _code(prelude, names, *lines, cells=""):
    rows = [f"{prelude} // prelude", f"{names} // names: f", f"{cells} // code info", *lines]
    body = "".join(f"    {row}\n" for row in rows)
    return f"static const byte fun_data_x[{body.count('0x')}] = {{\n{body}}};\n"


def test_a_number_below_128_takes_one_byte_and_others_two():
    old = _code(
        "0x10,0x02,", "0x01,", "0x12,0x00, // LOAD_GLOBAL 'a'", "0x14,0x01, // LOAD_METHOD 'f'"
    )
    assert renumber.renumbered(old, [127, 128]) == _code(
        *("0x10,0x04,", "0x81,0x00,"),
        *("0x12,0x7f, // LOAD_GLOBAL 'a'", "0x14,0x81,0x00, // LOAD_METHOD 'f'"),
    )


def test_what_a_number_is_no_part_of_stays_as_it_was():
    lines = (
        "0x22,0x81,0x05, // LOAD_CONST_SMALL_INT 133",
        "0x23,0x01, // LOAD_CONST_OBJ 1",
        "0xb1, // LOAD_FAST 1",
    )
    old = _code("0x10,0x05,", "0x00,", *lines, cells="0x02,")
    with pytest.raises(ValueError, match="line numbers"):
        renumber.renumbered(old, [5])
    old = _code("0x10,0x03,", "0x00,", *lines, cells="0x02,")
    assert renumber.renumbered(old, [5]) == _code("0x10,0x03,", "0x05,", *lines, cells="0x02,")


def test_jumps_over_names_that_became_longer_lead_where_they_led():
    """Forwards over a name, and back over it again."""
    name = "0x12,0x00, // LOAD_GLOBAL 'a'"
    old = _code(
        "0x10,0x02,",
        "0x00,",
        "0x44,0x44, // POP_JUMP_IF_FALSE 4",
        name,
        "0x42,0x3a, // JUMP -6",
        "0x51, // LOAD_CONST_NONE",
    )
    longer = "0x12,0x84,0x00, // LOAD_GLOBAL 'a'"
    new = _code(
        "0x10,0x04,",
        "0x84,0x00,",
        "0x44,0x45, // POP_JUMP_IF_FALSE 4",
        longer,
        "0x42,0x39, // JUMP -6",
        "0x51, // LOAD_CONST_NONE",
    )
    assert renumber.renumbered(old, [512]) == new


def _long(name, jump, back):
    return [jump] + [name] * 31 + [back, "0x51, // LOAD_CONST_NONE"]


def test_a_jump_that_has_become_too_long_for_one_byte_takes_two():
    """64 bytes forwards without a sign's room; the jump back grows with it."""
    lines = _long(
        "0x12,0x00, // LOAD_GLOBAL 'a'", "0x4b,0x40, // FOR_ITER 64", "0x42,0x00, // JUMP -64"
    )
    old = _code("0x10,0x02,", "0x00,", *lines)
    # 31 names of three bytes and a jump of three: 96 forwards; back past all of them, 96 as well
    lines = _long(
        "0x12,0x84,0x00, // LOAD_GLOBAL 'a'",
        "0x4b,0x60, // FOR_ITER 64",
        "0x42,0xa0,0x7f, // JUMP -64",
    )
    new = _code("0x10,0x04,", "0x84,0x00,", *lines)
    assert renumber.renumbered(old, [512]) == new


def test_an_unwinding_jump_counts_from_before_its_last_byte():
    old = _code(
        "0x10,0x02,",
        "0x00,",
        "0x40,0x43,0x01, // UNWIND_JUMP 3",
        "0x12,0x00, // LOAD_GLOBAL 'a'",
        "0x51, // LOAD_CONST_NONE",
    )
    new = _code(
        "0x10,0x04,",
        "0x84,0x00,",
        "0x40,0x44,0x01, // UNWIND_JUMP 3",
        "0x12,0x84,0x00, // LOAD_GLOBAL 'a'",
        "0x51, // LOAD_CONST_NONE",
    )
    assert renumber.renumbered(old, [512]) == new


def test_a_jump_into_the_middle_of_an_instruction_is_refused():
    old = _code("0x10,0x02,", "0x00,", "0x42,0x41, // JUMP 1", "0x12,0x00, // LOAD_GLOBAL 'a'")
    with pytest.raises(KeyError):
        renumber.renumbered(old, [5])


def test_names_are_counted_where_they_are_said_and_in_the_function_s_head():
    code = _code(
        "0x10,0x02,",
        "0x00,",
        "0x12,0x01, // LOAD_GLOBAL 'a'",
        "0x14,0x01, // x",
        "0xb1, // LOAD_FAST 1",
    )
    assert renumber.uses(code + code, ["F", "A"]) == Counter(F=2, A=4)


def test_the_names_used_most_come_first_then_operators_and_sorted_names_stay_sorted():
    known = [
        ("0", "MP_QSTRnull"),
        ("0", "MP_QSTR_"),
        ("0", "MP_QSTR_abs"),
        ("0", "MP_QSTR___add__"),
        ("0", "MP_QSTR__lt_lambda_gt_"),
    ]
    known += [("1", "MP_QSTR_m1"), ("1", "MP_QSTR_m2")]
    often = Counter({"MP_QSTR_o2": 5, "MP_QSTR_m1": 7, "MP_QSTR_": 9})
    first, rest, own = renumber.order(known, ["MP_QSTR_o1", "MP_QSTR_o2", "MP_QSTR_o3"], often)
    assert first == [
        "MP_QSTRnull",
        "MP_QSTR_",
        "MP_QSTR_m1",
        "MP_QSTR_o2",
        "MP_QSTR___add__",
        "MP_QSTR__lt_lambda_gt_",
        "MP_QSTR_abs",
    ]
    assert (rest, own) == (["MP_QSTR_m2"], ["MP_QSTR_o1", "MP_QSTR_o3"])


def test_more_names_than_one_byte_can_number_are_left_where_they_are():
    own = [f"MP_QSTR_o{number:03}" for number in range(200)]
    known = [("0", "MP_QSTRnull"), ("0", "MP_QSTR_")]
    first, _, left = renumber.order(known, own, Counter(dict.fromkeys(own, 1)))
    assert len(first) == renumber.ONE_BYTE and len(left) == 200 - 126


def test_operators_that_have_no_room_in_a_byte_are_refused():
    known = [("0", "MP_QSTRnull"), ("0", "MP_QSTR_")] + [
        ("0", f"MP_QSTR___o{n}__") for n in range(130)
    ]
    often = Counter({f"MP_QSTR_x{n}": 1 for n in range(126)})
    with pytest.raises(ValueError, match="operators"):
        renumber.order(known, list(often), often)


_SAME = range(256)  # each name's number is its place


def _head(prelude, places, names):
    code = _code(prelude, places)
    return code.replace("// names: f", f"// names: {names}")


def test_a_function_does_not_name_arguments_of_one_letter_and_its_prelude_says_so():
    old = _head("0xcc,0x04,0x0a,", "0x1a,0x09,0x81,0x08,0x14,", "__init__, a, b, c")
    new = _head("0xcc,0x04,0x02,", "0x1a,", "__init__")
    assert renumber.renumbered(old, _SAME, False) == new
    assert renumber.renumbered(old, _SAME) == old


def test_an_argument_with_a_longer_name_may_be_given_by_it_so_all_are_kept():
    old = _head("0x10,0x06,", "0x01,0x02,0x03,", "x, a, first")
    assert renumber.renumbered(old + old, _SAME, False) == old + old


def test_a_long_prelude_says_how_many_cells_there_are():
    places = "0x01," + "0x02," * 65
    names = ", ".join(["<lambda>", *("a" for _ in range(65))])
    old = _head("0x10,0x85,0x02,", places, names)  # 66 bytes, one cell
    assert renumber.renumbered(old, _SAME, False) == _head("0x10,0x03,", "0x01,", "<lambda>")


def test_arguments_that_are_not_named_are_no_uses():
    code = _head("0x10,0x04,", "0x00,0x01,", "f, a")
    assert renumber.uses(code, ["F", "A"], False) == Counter(F=1)
