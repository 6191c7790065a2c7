/* SPDX-License-Identifier: MIT */
/*
 * What MicroPython asks of frozen functions and files, made at the start from functions.py's
 * numbers: a pointer for each function, 4 bytes (8 with 64 bits), and a row for each that has
 * others within.
 */
#include "py/bc.h"
#include "py/emitglue.h"

enum { FUNCTIONS = sizeof functions_within, GENERATOR = 128 };

/* A function is its bytecode, or the row of one that has others within. */
static const void *functions[FUNCTIONS];
static mp_raw_code_truncated_t parents[FROZEN_PARENTS];
/* Both as mp_frozen_module_t, which has constants. */
static struct {
    mp_module_constants_t constants;
    const void *function;
} files[FROZEN_FILES];
const void *mp_frozen_mpy_content[FROZEN_FILES];

static void unpack_functions(void) {
    const byte *code = frozen_code;
    const void **next = functions + FROZEN_FILES; /* those within the first that has some */
    mp_raw_code_truncated_t *parent = parents;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        functions[i] = code;
        if (functions_within[i] > 0) {
            parent->kind = MP_CODE_BYTECODE;
            parent->is_generator = functions_within[i] >= GENERATOR;
            parent->fun_data = code;
            parent->children = (mp_raw_code_t **)next;
            functions[i] = parent++;
            next += functions_within[i] % GENERATOR;
        }
        code += length_low[i] | length_high[i] << 8;
    }
}

static void unpack_files(void) {
    const mp_rom_obj_t *objects = frozen_objects;
    for (size_t i = 0; i < FROZEN_FILES; i++) {
        files[i].constants.source_file = FIRST_FILE + i;
        files[i].constants.obj_table = (mp_obj_t *)objects;
        files[i].function = functions[i];
        mp_frozen_mpy_content[i] = &files[i];
        objects += objects_of_file[i];
    }
}
