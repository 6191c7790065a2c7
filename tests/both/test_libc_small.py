# SPDX-License-Identifier: MIT
"""What the executable has in place of zig's libc: sorting and searching, against Python's own."""

import random

import pytest

from machine import native_build

_PREAMBLE = """
#define qsort small_qsort
#define strchr small_strchr
#define strchrnul small_strchrnul
#define __strchrnul small_musl_strchrnul
#define strstr small_strstr
#define mbstowcs small_mbstowcs
#define strtoull small_strtoull
#define strtoul small_strtoul
#define __lookup_serv small_lookup_serv
#include "../micropython/libc_small.c"
static int at_byte0(const void *a, const void *b) {
    return *(const unsigned char *)a - *(const unsigned char *)b;
}
static int widened(int *to, const char *text, int room) {
    wchar_t wide[8];
    int n = (int)small_mbstowcs(wide, text, (size_t)room);
    for (int i = 0; i < n; i++)
        to[i] = (int)wide[i];
    return n;
}
static void sort(unsigned char *rows, int n, int size) {
    small_qsort(rows, (size_t)n, (size_t)size, at_byte0);
}
"""
_CDEF = """
void sort(unsigned char *rows, int n, int size);
size_t small_mbstowcs(wchar_t *to, const char *text, size_t room);
int widened(int *to, const char *text, int room);
unsigned long long small_strtoull(const char *text, char **end, int base);
unsigned long small_strtoul(const char *text, char **end, int base);
char *small_strchr(const char *text, int wanted);
char *small_strchrnul(const char *text, int wanted);
char *small_musl_strchrnul(const char *text, int wanted);
char *small_strstr(const char *text, const char *wanted);
"""


@pytest.fixture(scope="module")
def small():
    return native_build.test_module("_test_libc_small", _CDEF, _PREAMBLE, [])


@pytest.mark.parametrize("size", [1, 5, 40])
def test_rows_come_out_in_order_and_whole(small, size):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    for n in [*range(12), 100, 256]:
        firsts = dice.sample(range(256), n)
        for order in (firsts, sorted(firsts), sorted(firsts, reverse=True), [7] * n):
            rows = [bytes([first]) + dice.randbytes(size - 1) for first in order]
            buffer = bytearray(b"".join(rows) + b"behind")
            small.lib.sort(small.ffi.from_buffer(buffer), n, size)
            assert buffer[n * size :] == b"behind"
            sorted_rows = [bytes(buffer[i * size : (i + 1) * size]) for i in range(n)]
            assert sorted(sorted_rows) == sorted(rows)
            assert [row[0] for row in sorted_rows] == sorted(order)


def _offset(small, text, found):
    return -1 if found == small.ffi.NULL else int(found - text)


def test_characters_and_words_are_found_where_python_finds_them(small):
    dice = random.Random(7)
    for _ in range(2000):
        text = bytes(dice.choices(b"ab\xc3", k=dice.randrange(8)))
        word = bytes(dice.choices(b"ab\xc3", k=dice.randrange(4)))
        c_text, c_word = (small.ffi.new("char[]", s) for s in (text, word))
        assert _offset(small, c_text, small.lib.small_strstr(c_text, c_word)) == text.find(word)
        for byte in b"ab\xc3":
            at = text.find(byte)
            assert _offset(small, c_text, small.lib.small_strchr(c_text, byte)) == at
            end = len(text) if at < 0 else at
            for find in (small.lib.small_strchrnul, small.lib.small_musl_strchrnul):
                assert _offset(small, c_text, find(c_text, byte)) == end
        assert _offset(small, c_text, small.lib.small_strchr(c_text, 0)) == len(text)


def test_a_character_is_a_byte_whatever_its_value(small):
    text = small.ffi.new("char[]", b"caf\xc3\xa9")
    assert small.lib.small_mbstowcs(small.ffi.NULL, text, 0) == 5
    wide = small.ffi.new("int[8]")
    assert small.lib.widened(wide, text, 3) == 3
    assert small.lib.widened(wide, text, 8) == 5
    assert bytes(wide[0:5]) == b"caf\xc3\xa9"


# text, value, length
DECIMAL = (
    (b"0", 0, 1),
    (b"4096K", 4096, 4),
    (b"4294967295", 4294967295, 10),
    (b"x1", 0, 0),
    (b"", 0, 0),
    (b"99999999999999999999999", 2**64 - 1, 23),
    (b"010", 10, 3),
    (b"0x7f", 0, 1),
)
AS_WRITTEN = (
    (b"010.0", 8, 3),
    (b"08", 0, 1),
    (b"0x7F.0", 127, 4),
    (b"0XaG", 10, 3),
    (b"0x", 0, 1),
    (b"0xg", 0, 1),
    (b"0", 0, 1),
    (b"109:", 109, 3),
    (b"a", 0, 0),
    (b"0xfffffffffffffffff", 2**64 - 1, 19),
)


@pytest.mark.parametrize("name", ["small_strtoul", "small_strtoull"])
@pytest.mark.parametrize("base, rows", [(10, DECIMAL), (0, AS_WRITTEN)])
def test_a_number_ends_behind_its_digits_and_a_larger_one_than_fits_is_the_largest(
    small, name, base, rows
):
    parse = getattr(small.lib, name)
    end = small.ffi.new("char **")
    for text, value, length in rows:
        chars = small.ffi.new("char[]", text)
        assert (parse(chars, end, base), end[0] - chars) == (value, length), text
