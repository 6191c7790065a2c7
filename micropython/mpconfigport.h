/* SPDX-License-Identifier: MIT */
/* What of MicroPython the executable has: frozen code only, whole numbers only, no file system of
 * its own (descriptors come from modos.c), no compiler unless TL_COMPILER. */
#include <alloca.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef TL_COMPILER
#define TL_COMPILER 0 /* 1 in the test executable, which runs scripts */
#endif

typedef intptr_t mp_int_t;
typedef uintptr_t mp_uint_t;
typedef long mp_off_t;

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_CORE_FEATURES)
#define MP_STATE_PORT MP_STATE_VM
#define MICROPY_PY_SYS_PLATFORM "linux"
#define MICROPY_ALLOC_PATH_MAX 256

/* ---- code: frozen, with line numbers in tracebacks unless NO_LINES */
#define MICROPY_ENABLE_COMPILER (TL_COMPILER)
#define MICROPY_READER_POSIX (TL_COMPILER)
#define MICROPY_HELPER_LEXER_UNIX (TL_COMPILER)
#define MICROPY_HELPER_REPL (0)
#define MICROPY_PERSISTENT_CODE_LOAD (0)
#define MICROPY_ENABLE_EXTERNAL_IMPORT (1) /* frozen packages are found through it */
#define MICROPY_MODULE_OVERRIDE_MAIN_IMPORT (0)
#define MICROPY_PY_SYS_PATH_ARGV_DEFAULTS (0)
#define MICROPY_ENABLE_SOURCE_LINE (1)
#if TL_NO_LINES
#define MICROPY_ERROR_REPORTING (MICROPY_ERROR_REPORTING_TERSE)
#define MICROPY_EMIT_BYTECODE_USES_QSTR_TABLE (0) /* renumber.py */
#else
#define MICROPY_ERROR_REPORTING (MICROPY_ERROR_REPORTING_NORMAL)
#endif
#define MICROPY_WARNINGS (0)

/* ---- runtime */
#define MICROPY_ENABLE_GC (1)
#define MICROPY_GC_ALLOC_THRESHOLD (1)
/* What waits to be marked: a dict of 1,000 peers fits. Past it the collector reads the table of the
 * whole heap again and again, 18 ms on a 24Kc with the usual 64; untouched pages cost nothing. */
#define MICROPY_ALLOC_GC_STACK_SIZE (4096)
#define MICROPY_GC_STACK_ENTRY_TYPE uint32_t
/* Names are looked up where they were found the last time, so their hashes need not be kept. */
#define MICROPY_OPT_MAP_LOOKUP_CACHE (1)
#define MICROPY_QSTR_BYTES_IN_HASH (0)
#define MICROPY_PY_GC_COLLECT_RETVAL (1)
#define MICROPY_ENABLE_FINALISER (0)
#define MICROPY_STACK_CHECK (1)
#define MICROPY_STACKLESS (0)
#define MICROPY_ENABLE_SCHEDULER (0)
#define MICROPY_KBD_EXCEPTION (0)
#define MICROPY_ASYNC_KBD_INTR (0)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (256)
#define MICROPY_OPT_COMPUTED_GOTO (1)
#define MICROPY_USE_INTERNAL_ERRNO (0) /* MIPS has numbers of its own */
#define MICROPY_USE_INTERNAL_PRINTF (0)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_NONE)
/* What callers of the collector hold in registers alone is in use too. To clang, variables that are
 * told to be registers are not set; the other way, setjmp, is scrambled for x86_64 in glibc. */
#if defined(__clang__) || !defined(__x86_64__)
#define MICROPY_GCREGS_SETJMP (1)
#endif

/* ---- language: what tunlite/ uses; tests/both/test_source.py knows the modules */
#define MICROPY_PY_ASYNC_AWAIT (0)
#define MICROPY_PY_BUILTINS_COMPLEX (0)
#define MICROPY_PY_BUILTINS_PROPERTY (0)
#define MICROPY_PY_BUILTINS_REVERSED (0)
#define MICROPY_PY_BUILTINS_FILTER (0)
#define MICROPY_PY_BUILTINS_DICT_FROMKEYS (0)
#define MICROPY_PY_BUILTINS_RANGE_ATTRS (0)
#define MICROPY_PY_GENERATOR_PEND_THROW (0)
#define MICROPY_MODULE_GETATTR (0)
#define MICROPY_MULTIPLE_INHERITANCE (0)
#define MICROPY_PY_FSTRINGS (1) /* in the compiler only */
#define MICROPY_PY_BUILTINS_MEMORYVIEW (1)
#define MICROPY_PY_BUILTINS_NOTIMPLEMENTED (1)
#define MICROPY_PY_BUILTINS_STR_UNICODE (1)
#define MICROPY_PY_BUILTINS_STR_PARTITION (1)
#define MICROPY_PY_BUILTINS_STR_COUNT (0)
#define MICROPY_PY_BUILTINS_STR_OP_MODULO (0)
#define MICROPY_PY_BUILTINS_BYTES_HEX (1)
#define MICROPY_PY_BUILTINS_NEXT2 (1)
#define MICROPY_PY_BUILTINS_SLICE_ATTRS (0)
#define MICROPY_PY_BUILTINS_INPUT (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_BUILTINS_EXECFILE (0)
#define MICROPY_PY_ARRAY_SLICE_ASSIGN (1)
#define MICROPY_PY___FILE__ (0)

/* ---- modules */
#define MICROPY_PY_ARRAY (0)
#define MICROPY_PY_COLLECTIONS (0)
#define MICROPY_PY_MICROPYTHON (0)
#define MICROPY_PY_SYS_MAXSIZE (1)
#define MICROPY_PY_SYS_MODULES (0)
#define MICROPY_PY_SYS_STDFILES (0)
#define MICROPY_PY_SYS_STDIO_BUFFER (0)
#define MICROPY_PY_SYS_EXC_INFO (0)
#define MICROPY_PY_SYS_ATEXIT (0)
#define MICROPY_PY_SYS_PS1_PS2 (0)
#define MICROPY_PY_IO (1) /* json reads a string through StringIO */
#define MICROPY_PY_IO_IOBASE (0)
#define MICROPY_PY_IO_BYTESIO (0)
#define MICROPY_PY_JSON (1)
#define MICROPY_PY_BINASCII (1)
#define MICROPY_PY_BINASCII_CRC32 (0)
#define MICROPY_PY_HEAPQ (1)
#define MICROPY_PY_MATH (0)
#define MICROPY_PY_CMATH (0)
#define MICROPY_PY_ERRNO (1)
#define MICROPY_PY_ERRNO_ERRORCODE (0)
/* Those that tunlite/ names: tests/both/test_source.py compares. First what MicroPython has not. */
#define MP_EADDRNOTAVAIL EADDRNOTAVAIL
#define MP_EDESTADDRREQ EDESTADDRREQ
#define MP_EMSGSIZE EMSGSIZE
#define MP_ENAMETOOLONG ENAMETOOLONG
#define MP_ENETUNREACH ENETUNREACH
#define MP_ENOKEY ENOKEY
#define MP_ENOTEMPTY ENOTEMPTY
#if TL_COMPILER
#define NAMED_BY_TESTS X(EBADF) X(ECHILD) X(EEXIST) X(ENOTEMPTY)
#else
#define NAMED_BY_TESTS
#endif
#define MICROPY_PY_ERRNO_LIST                                                                      \
    X(EACCES)                                                                                      \
    X(EADDRINUSE)                                                                                  \
    X(EADDRNOTAVAIL)                                                                               \
    X(EAGAIN)                                                                                      \
    X(ECONNREFUSED)                                                                                \
    X(EDESTADDRREQ)                                                                                \
    X(EHOSTUNREACH)                                                                                \
    X(EINVAL)                                                                                      \
    X(EIO)                                                                                         \
    X(EMSGSIZE)                                                                                    \
    X(ENAMETOOLONG)                                                                                \
    X(ENETUNREACH)                                                                                 \
    X(ENOBUFS)                                                                                     \
    X(ENODEV)                                                                                      \
    X(ENOENT)                                                                                      \
    X(ENOKEY)                                                                                      \
    NAMED_BY_TESTS

/* Errors and tracebacks go to standard error. */
extern const struct _mp_print_t mp_stderr_print;
#define MICROPY_DEBUG_PRINTER (&mp_stderr_print)
#define MICROPY_ERROR_PRINTER (&mp_stderr_print)

/* MicroPython's makefiles always say that there are frozen sources; frozen bytecode is all there
 * is. */
#undef MICROPY_MODULE_FROZEN_STR
#define MICROPY_MODULE_FROZEN_STR (0)
