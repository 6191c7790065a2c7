# SPDX-License-Identifier: MIT
"""The executable's malloc: blocks that do not overlap and keep what is in them."""

import random

import pytest

from machine import native_build

_NAMES = ("malloc", "free", "calloc", "realloc", "aligned_alloc", "memalign", "strdup")
_PREAMBLE = (
    "#include <malloc.h>\n#include <stdlib.h>\n#include <string.h>\n#undef strdup\n"
    + "".join(f"#define {name} small_{name}\n" for name in _NAMES)
    + '#include "../micropython/malloc_small.c"\n'
)
_CDEF = """
void *small_malloc(size_t n);
void small_free(void *p);
void *small_calloc(size_t rows, size_t size);
void *small_realloc(void *old, size_t n);
void *small_aligned_alloc(size_t alignment, size_t n);
void *small_memalign(size_t alignment, size_t n);
char *small_strdup(const char *text);
"""
_TOO_MUCH = (1 << 63, (1 << 64) - 1, (1 << 63) - 8)


@pytest.fixture(scope="module")
def small():
    return native_build.test_module("_test_malloc_small", _CDEF, _PREAMBLE, [])


def test_blocks_keep_what_is_in_them_whatever_comes_and_goes(small):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    live = {}  # address: (pointer, what is there)

    def put(p, wanted):
        address = int(small.ffi.cast("uintptr_t", p))
        assert address and address % 16 == 0 and address not in live
        content = dice.randbytes(wanted)
        small.ffi.buffer(p, wanted)[:] = content
        live[address] = (p, content)

    for _ in range(5000):
        wanted = dice.choice(
            (0, 1, 15, 16, 17, 100, 1000, 4080, 2032, 2033, 4081, 32752, 32753, 70000)
        )
        if len(live) < dice.randrange(60):
            if dice.random() < 0.5:
                put(small.lib.small_malloc(wanted), wanted)
            else:
                p = small.lib.small_calloc(wanted, 1)
                assert small.ffi.buffer(p, wanted)[:] == bytes(wanted)
                put(p, wanted)
        elif live:
            p, content = live.pop(dice.choice(list(live)))
            assert small.ffi.buffer(p, len(content))[:] == content
            if dice.random() < 0.5:
                small.lib.small_free(p)
            else:
                p = small.lib.small_realloc(p, wanted)
                kept = min(wanted, len(content))
                assert small.ffi.buffer(p, kept)[:] == content[:kept]
                put(p, wanted)
    spans = sorted((address, address + len(content)) for address, (_, content) in live.items())
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
    for p, content in live.values():
        assert small.ffi.buffer(p, len(content))[:] == content


@pytest.mark.parametrize("size", [1, 64, 32704, 32705, 65536, 1 << 20])
def test_a_block_is_aligned_to_as_much_as_a_line_of_the_cache(small, size):
    blocks = [small.lib.small_aligned_alloc(64, size) for _ in range(4)]
    for block in blocks:
        assert int(small.ffi.cast("uintptr_t", block)) % 64 == 0
        small.ffi.buffer(block, size)[:] = b"x" * size
    for block in blocks:
        small.lib.small_free(block)


def test_what_there_is_not_is_no_block(small):
    lib, null = small.lib, small.ffi.NULL
    for n in _TOO_MUCH:
        assert lib.small_malloc(n) == null
        assert lib.small_calloc(n, 2) == null
        assert lib.small_calloc(1 << 33, 1 << 33) == null
    p = lib.small_realloc(null, 5)
    small.ffi.buffer(p, 5)[:] = b"still"
    assert lib.small_realloc(p, _TOO_MUCH[0]) == null
    assert small.ffi.buffer(p, 5)[:] == b"still"
    lib.small_free(p)
    lib.small_free(null)
    assert lib.small_aligned_alloc(128, 64) == null == lib.small_memalign(4096, 64)
    assert lib.small_aligned_alloc(16, 64) != null != lib.small_memalign(8, 64)
    assert small.ffi.string(lib.small_strdup(b"a name")) == b"a name"
