/* SPDX-License-Identifier: MIT */
/*
 * MicroPython's names (qstrs), taken apart at the start. pack.py puts before this one text of them
 * all, a zero behind each: their pointers and lengths, which are most of a usual pool, are made in
 * memory, 5 bytes a name (9 with 64 bits).
 */
#include <string.h>

#include "py/qstr.h"

enum { OWN_NAMES = MP_QSTRnumber_of - MP_QSTRnumber_of_static };

/* A pool ends in an array without a length, so the room for that lies over it. */
#define POOL(name, names)                                                                          \
    union {                                                                                        \
        qstr_pool_t pool;                                                                          \
        struct {                                                                                   \
            size_t head[sizeof(qstr_pool_t) / sizeof(size_t)];                                     \
            const char *texts[names];                                                              \
            qstr_len_t lengths[names];                                                             \
        } room;                                                                                    \
    } name

/* The order of the numbers. qstr.c starts from the last one, for which it is told this name; the
 * first is MicroPython's own, not in alphabetical order. */
static POOL(static_names, MP_QSTRnumber_of_static);
static POOL(own_names, OWN_NAMES);
#ifdef FROZEN_FILES
static POOL(frozen_names, FROZEN_NAMES);
POOL(tl_qstr_pool, FROZEN_FILES); /* of files, whose names import looks through */
#else
POOL(tl_qstr_pool, FROZEN_NAMES);
#endif

static const char *unpack(qstr_pool_t *pool, const qstr_pool_t *previous, size_t count,
                          qstr_len_t *lengths, const char *text) {
    pool->prev = previous;
    pool->total_prev_len = previous == NULL ? 0 : previous->total_prev_len + previous->len;
    pool->is_sorted = previous != NULL;
    pool->alloc = 10; /* twice that has the first pool that is made as the program runs */
    pool->len = count;
    pool->lengths = lengths;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(text);
        if (length == 0 && pool->is_sorted) {
            length = 1; /* the name is "\0" */
        }
        pool->qstrs[i] = text;
        lengths[i] = (qstr_len_t)length;
        text += length + 1;
    }
    return text;
}

#define UNPACK(name, previous, names, text)                                                        \
    unpack(&(name).pool, previous, names, (name).room.lengths, text)

void tl_frozen_unpack(void) {
    const char *text = packed_names;
    text = UNPACK(static_names, NULL, MP_QSTRnumber_of_static, text);
    text = UNPACK(own_names, &static_names.pool, OWN_NAMES, text);
#ifdef FROZEN_FILES
    UNPACK(frozen_names, &own_names.pool, FROZEN_NAMES, text);
    UNPACK(tl_qstr_pool, &frozen_names.pool, FROZEN_FILES, mp_frozen_names);
    unpack_functions();
    unpack_files();
#else
    UNPACK(tl_qstr_pool, &own_names.pool, FROZEN_NAMES, text);
#endif
}
