/* SPDX-License-Identifier: MIT */
/*
 * Entry point of the static executable: its heap, sys.argv, the frozen program, its exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "py/builtin.h"
#include "py/compile.h"
#include "py/cstack.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/unicode.h"

enum { STACK_BYTES = 64 * 1024 * (int)(sizeof(void *) / 4) };

/* ---- what MicroPython asks of a port -----------------------------------------------------------
 */

static void write_all(int fd, const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return; /* no one is left to read it */
        }
        text += n;
        len -= (size_t)n;
    }
}

static void stderr_print(void *env, const char *text, size_t len) {
    (void)env;
    write_all(STDERR_FILENO, text, len);
}

const mp_print_t mp_stderr_print = {NULL, stderr_print};

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t len) {
    write_all(STDOUT_FILENO, text, len);
    return len;
}

void mp_hal_stdout_tx_strn_cooked(const char *text, size_t len) {
    write_all(STDOUT_FILENO, text, len);
}

mp_import_stat_t mp_import_stat(const char *path) {
#if TL_COMPILER
    struct stat found;
    if (stat(path, &found) == 0) {
        return S_ISDIR(found.st_mode) ? MP_IMPORT_STAT_DIR : MP_IMPORT_STAT_FILE;
    }
#else
    (void)path;
#endif
    return MP_IMPORT_STAT_NO_EXIST;
}

void nlr_jump_fail(void *value) {
    (void)value;
    static const char text[] = "tunlite: exception outside of the program\n";
    write_all(STDERR_FILENO, text, sizeof text - 1);
    abort();
}

#if TL_RELOCATED /* position-independent: zig does not tell by __PIE__ */
/* What was relocated is only read from now on: a static program of musl leaves that to itself
 * (1.2.5, rcrt1). */
static void protect_relocated(void) {
    const ElfW(Phdr) *rows = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    uintptr_t base = (uintptr_t)rows, page = (uintptr_t)getpagesize();
    for (size_t i = 0; i < getauxval(AT_PHNUM); i++) {
        if (rows[i].p_type == PT_PHDR) {
            base -= rows[i].p_vaddr;
        } else if (rows[i].p_type == PT_GNU_RELRO) {
            uintptr_t start = (base + rows[i].p_vaddr) & -page;
            uintptr_t end = (base + rows[i].p_vaddr + rows[i].p_memsz) & -page;
            mprotect((void *)start, end - start, PROT_READ);
        }
    }
}
#endif

/* ---- start
 * --------------------------------------------------------------------------------------- */

/* "512K", "2M" or bytes; 0 when it is none of these or out of bounds. */
static size_t heap_size(const char *text) {
    char *end;
    unsigned long long size = strtoull(text, &end, 10);
    if (*end == 'K' || *end == 'k') {
        size *= 1024;
        end++;
    } else if (*end == 'M' || *end == 'm') {
        size *= 1024 * 1024;
        end++;
    }
    return *end == 0 && size >= HEAP_LEAST && size <= HEAP_MOST ? (size_t)size : 0;
}

static void set_argv(int argc, char **argv) {
    mp_obj_list_init(MP_OBJ_TO_PTR(mp_sys_argv), 0);
    for (int i = 0; i < argc; i++) {
        mp_obj_list_append(mp_sys_argv, mp_obj_new_str_from_cstr(argv[i]));
    }
}

static int exit_status(mp_obj_t exception, size_t heap) {
    const mp_obj_type_t *type = mp_obj_get_type(exception);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(type), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        mp_obj_t value = mp_obj_exception_get_value(exception);
        mp_int_t status = 0;
        if (value == mp_const_none || mp_obj_get_int_maybe(value, &status)) {
            return (int)(status & 0xff);
        }
        mp_obj_print_helper(&mp_stderr_print, value, PRINT_STR);
        write_all(STDERR_FILENO, "\n", 1);
        return 1;
    }
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(type), MP_OBJ_FROM_PTR(&mp_type_MemoryError))) {
        mp_printf(&mp_stderr_print, "tunlite: its heap of %u KB is full; ",
                  (unsigned)(heap / 1024));
        if (heap == HEAP_MOST) {
            mp_printf(&mp_stderr_print, "there is no larger one\n");
        } else {
            size_t more = heap < HEAP_MOST / 2 ? 2 * heap : HEAP_MOST;
            mp_printf(&mp_stderr_print, "start it with more: tunlite --heap %uK ...\n",
                      (unsigned)(more / 1024));
        }
        return 1;
    }
    mp_obj_print_exception(&mp_stderr_print, exception);
    return 1;
}

static void run_program(int argc, char **argv) {
#if TL_COMPILER
    /* The test executable: `tunlite-test --script FILE ARGUMENTS`. */
    if (argc > 2 && strcmp(argv[1], "--script") == 0) {
        set_argv(argc - 2, argv + 2);
        mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR_));
        mp_lexer_t *lexer = mp_lexer_new_from_file(qstr_from_str(argv[2]));
        mp_parse_tree_t tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);
        mp_call_function_0(mp_compile(&tree, lexer->source_name, false));
        return;
    }
#endif
    set_argv(argc, argv);
    mp_import_name(MP_QSTR__start, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
}

void tl_frozen_unpack(void); /* names.h */

/* Not inlined: main must capture the stack's top before this frame exists. */
static MP_NOINLINE int interpret(size_t heap, int argc, char **argv) {
    if (!heap_make(heap)) {
        mp_printf(&mp_stderr_print, "tunlite: heap: %s\n", strerror(errno));
        return 1;
    }
    tl_frozen_unpack();
    mp_init();
    mp_sys_path = mp_obj_new_list(0, NULL);
    mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__dot_frozen));
    int status = 0;
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        run_program(argc, argv);
        nlr_pop();
    } else {
        status = exit_status(MP_OBJ_FROM_PTR(nlr.ret_val), heap);
    }
    mp_deinit();
    return status;
}

/* What is opened later must become none of 0, 1 and 2 where we were started without them. */
static void hold_stdio(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    close(fd);
}

int main(int argc, char **argv) {
    hold_stdio();
    mp_cstack_init_with_sp_here(STACK_BYTES);
#if TL_RELOCATED
    protect_relocated();
#endif
    signal(SIGPIPE, SIG_IGN);
    size_t heap = heap_usual();
    if (argc > 2 && strcmp(argv[1], "--heap") == 0) {
        heap = heap_size(argv[2]);
        if (heap == 0) {
            mp_printf(&mp_stderr_print, "tunlite: --heap takes %uK to %uM, not %s\n",
                      HEAP_LEAST / 1024, HEAP_MOST / 1024 / 1024, argv[2]);
            return 2;
        }
        argv[2] = argv[0];
        argv += 2;
        argc -= 2;
    }
    for (int i = 1; i < argc; i++) {
        if (!utf8_check((const byte *)argv[i], strlen(argv[i]))) {
            static const char text[] = "tunlite: a word of the command line is not UTF-8\n";
            write_all(STDERR_FILENO, text, sizeof text - 1);
            return 2;
        }
    }
    return interpret(heap, argc, argv);
}
