/* SPDX-License-Identifier: MIT */
/*
 * The heap is as large as it may ever be from the start. MicroPython's own ways are two: it clears
 * the table of all blocks, a 64th or 128th of the heap, at once; or it adds areas as they are
 * needed, and asks of each word that it marks in which area that lies. Here the table's pages are
 * zeros of the kernel, and a collection never looks past the last block in use, so what was not
 * needed yet costs neither memory nor time.
 */
#include "heap.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "py/gc.h"
#include "py/mpstate.h"
#include "shared/runtime/gchelper.h"

enum {
    HEAP_USUAL = 4 * 1024 * 1024,
    BLOCK = MICROPY_BYTES_PER_GC_BLOCK,
    BLOCKS_A_BYTE = 4, /* of the table */
    COLLECT_BYTES = 64 * 1024,
    LARGE = 16384, /* bytes of the table: 1 or 2 MB */
};

/* Bytes of the table: all, those whose blocks may be given, and where the search for them begins.
 */
static size_t table, open, begin;

size_t heap_usual(void) {
    struct sysinfo machine;
    if (sysinfo(&machine))
        return HEAP_USUAL;
    uint64_t eighth = (uint64_t)machine.totalram * machine.mem_unit / 8;
    return eighth < HEAP_USUAL ? HEAP_USUAL : eighth < HEAP_MOST ? (size_t)eighth : HEAP_MOST;
}

bool heap_make(size_t size) {
    size = size / BLOCK * BLOCK;
    char *heap = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (heap == MAP_FAILED) {
        return false;
    }
    gc_init(heap, heap + HEAP_LEAST);
    table = open = (size - 1) / (1 + BLOCKS_A_BYTE * BLOCK); /* a byte more ends the last block */
    MP_STATE_MEM(area).gc_alloc_table_byte_len = table;
    MP_STATE_MEM(area).gc_pool_start = (byte *)heap + size - table * BLOCKS_A_BYTE * BLOCK;
    MP_STATE_MEM(area).gc_pool_end = (byte *)heap + size;
    MP_STATE_MEM(gc_alloc_threshold) = COLLECT_BYTES / BLOCK;
    return true;
}

void heap_keep_back(bool keep) {
    open = keep ? table - table / 4 : table;
    MP_STATE_MEM(area).gc_alloc_table_byte_len = open;
}

/* The collector looks for two blocks in a row from the first single one on. With a hundred thousand
 * prefixes that reads 150 KB of the table at nearly each request, so in a large heap the search
 * begins behind what is nearly full: what it passes has at most an eighth of the heap's room. */
static size_t first_room(const byte *blocks, size_t used) {
    size_t passed = 0, at = 0;
    for (; at < used && passed <= used / 8; at++)
        passed += blocks[at] == 0;
    return at;
}

void gc_collect(void) {
    mp_state_mem_area_t *area = &MP_STATE_MEM(area);
    area->gc_alloc_table_byte_len = area->gc_last_used_block / BLOCKS_A_BYTE + 1;
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
    area->gc_alloc_table_byte_len = open;
    size_t used = area->gc_last_used_block / BLOCKS_A_BYTE;
    MP_STATE_MEM(gc_alloc_threshold) = MAX(used * BLOCKS_A_BYTE / 8, COLLECT_BYTES / BLOCK);
    begin = used > LARGE ? first_room(area->gc_alloc_table_start, used) : 0;
}

/* Called in place of MicroPython's (port.mk): in a large heap, what is freed behind the search
 * waits for a collection. Else a number that is made and freed again sends the search back each
 * time. */
void *__real_gc_alloc(size_t size, unsigned int flags);
void *__wrap_gc_alloc(size_t size, unsigned int flags);
void *__real_gc_realloc(void *old, size_t size, bool may_move);
void *__wrap_gc_realloc(void *old, size_t size, bool may_move);

static void search_on(void) {
    size_t *at = &MP_STATE_MEM(area).gc_last_free_atb_index;
    if (begin > 0)
        *at = begin = MAX(begin, *at);
}

/* Nothing was found: whether it is worth to look at all of the heap. */
static bool search_anew(void) {
    bool passed = begin > 0;
    MP_STATE_MEM(area).gc_last_free_atb_index = begin = 0;
    return passed;
}

void *__wrap_gc_alloc(size_t size, unsigned int flags) {
    search_on();
    void *p = __real_gc_alloc(size, flags);
    return p == NULL && size > 0 && search_anew() ? __real_gc_alloc(size, flags) : p;
}

/* What lies where nothing is given would be counted no further than to there, and its rest lost
 * when it moves: it may grow where it is. */
void *__wrap_gc_realloc(void *old, size_t size, bool may_move) {
    mp_state_mem_area_t *area = &MP_STATE_MEM(area);
    size_t kept = open;
    if ((byte *)old + gc_nbytes(old) > area->gc_pool_start + open * BLOCKS_A_BYTE * BLOCK)
        area->gc_alloc_table_byte_len = open = table;
    search_on();
    void *p = __real_gc_realloc(old, size, may_move);
    if (p == NULL && size > 0 && search_anew())
        p = __real_gc_realloc(old, size, may_move);
    area->gc_alloc_table_byte_len = open = kept;
    return p;
}
