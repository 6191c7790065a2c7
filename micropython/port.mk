# SPDX-License-Identifier: MIT
# A port of MicroPython like its ports/unix, with what a daemon needs and nothing more. Called by the
# Makefile beside it, which says what the variables are.

QSTR_DEFS = qstrdefsport.h
MICROPY_ROM_TEXT_COMPRESSION = 1
FROZEN_MANIFEST = $(ROOT)/micropython/manifest.py
# MicroPython's makefile wants to see micropython-lib, of which nothing is used.
MPY_LIB_DIR = $(BUILD)/no-lib

all: $(OUT)

include $(MICROPYTHON)/py/mkenv.mk
MICROPY_MPYCROSS_DEPENDENCY =
include $(TOP)/py/py.mk

NATIVE = $(sort $(patsubst $(ROOT)/%,%,$(wildcard $(ROOT)/native/*.c $(ROOT)/native/*/*.c)))
X25519 = src/ec/ec_c25519_m31.c src/codec/ccopy.c
BORDER = $(BUILD)/modtunlite.c
PORT = main.c heap.c modos.c modx25519.c
EXTMOD = extmod/modbinascii.c extmod/modheapq.c extmod/modjson.c shared/runtime/gchelper_generic.c

MALLOC = $(if $(filter 1,$(SMALL_MALLOC)),malloc_small.c)

SRC_QSTR += $(PORT) $(EXTMOD) $(BORDER)
FROZEN = $(BUILD)/frozen.c
OBJ = $(filter-out %/frozen_content.o,$(PY_O)) $(FROZEN:.c=.o) $(BORDER:.c=.o) $(patsubst %.c,$(BUILD)/%.o,$(PORT) libc_small.c $(MALLOC) memcpy_mips.c $(EXTMOD) $(NATIVE) $(X25519))

# The same bytes wherever they are built.
SAME_PATHS = -ffile-prefix-map=$(BUILD)/=build/ -ffile-prefix-map=$(ROOT)/= \
	-ffile-prefix-map=$(TOP)/=micropython/ -ffile-prefix-map=$(BEARSSL)/=bearssl/
COMMON = -std=gnu11 -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fno-unwind-tables -fomit-frame-pointer -D_FILE_OFFSET_BITS=64 $(SAME_PATHS)
NUMBERED = $(BUILD)/numbered
CFLAGS = -I. -I$(TOP) -I$(NUMBERED) -I$(BUILD) -I$(ROOT)/native/include -I$(BEARSSL)/inc $(SMALL) $(COMMON) \
	-DNDEBUG -D_GNU_SOURCE -DMPZ_DIG_SIZE=16 -DTL_COMPILER=$(TL_COMPILER) -DTL_NO_LINES=$(TUNLITE_NO_LINES) -Wall \
	-Wno-unused-variable $(USER_CFLAGS)
# The interpreter's loop and its collector are built for speed.
CSUPEROPT = -O2
$(BUILD)/py/vm.o $(BUILD)/py/gc.o: private SMALL =
# What runs for every packet is built for speed, the rest of the core for size (mips: 7 KB less).
include often.mk
NATIVE_CFLAGS = -I$(ROOT)/native/include -I$(ROOT)/native $(SPEED) $(COMMON) -pthread -Wall -Wextra $(USER_CFLAGS)
SPEED = $(SELDOM)
# Only checksums and ciphers have loops of so many turns that laying them out several times gains,
# and vectors only where the code says so.
OFTEN_FLAGS = $(OFTEN_SPEED) -fno-unroll-loops -fno-tree-vectorize -fno-tree-slp-vectorize
OFTEN_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(OFTEN))
# 3.55 million instructions on mips32r2 instead of -O2's 3.17, for 7 KB less.
X25519_CFLAGS = -I$(BEARSSL)/inc -I$(BEARSSL)/src -Os $(COMMON) $(USER_CFLAGS)

include $(TOP)/py/mkrules.mk

vpath %.c $(ROOT) $(BEARSSL)
$(BUILD)/native/%.o: CFLAGS = $(NATIVE_CFLAGS)
$(OFTEN_OBJ): SPEED = $(OFTEN_FLAGS)
$(filter $(BUILD)/native/inside/checksum%,$(OFTEN_OBJ)): SPEED = -O2
$(filter $(BUILD)/native/crypto/%,$(OFTEN_OBJ)): SPEED = -O2 -fno-tree-vectorize
# They must not be compiled into calls of themselves.
$(BUILD)/memcpy_mips.o: CFLAGS = -O2 -ffreestanding -fno-builtin $(COMMON) $(USER_CFLAGS)
$(BUILD)/libc_small.o $(BUILD)/malloc_small.o: CFLAGS = $(SELDOM) -fno-builtin -Wall -Wextra $(COMMON) $(USER_CFLAGS)
$(BUILD)/src/%.o: CFLAGS = $(X25519_CFLAGS)
# Objects follow their flags.
FLAGS_SEEN = $(BUILD)/flags
ALL_FLAGS = $(CC) $(CFLAGS) $(NATIVE_CFLAGS) $(OFTEN) $(OFTEN_FLAGS) $(X25519_CFLAGS) $(POOL)
$(OBJ): $(FLAGS_SEEN)
$(FLAGS_SEEN): FORCE | $(HEADER_BUILD)
	$(Q)echo '$(ALL_FLAGS)' | cmp -s - $@ || echo '$(ALL_FLAGS)' >$@

$(BORDER): $(ROOT)/native/include/tunlite.h gen_border.py | $(HEADER_BUILD)
	$(Q)$(PYTHON) gen_border.py $< $@

$(FROZEN): $(BUILD)/frozen_content.c $(HEADER_BUILD)/qstrdefs.generated.h pack.py renumber.py functions.py names.h functions.h
	$(Q)$(PYTHON) pack.py $< $(HEADER_BUILD)/qstrdefs.generated.h $@ $(NUMBERS) $(NO_ARGUMENTS)
# Where bytecode tells no lines it says names by numbers, and the header of these is made by pack.py.
NUMBERS = $(if $(filter 1,$(TUNLITE_NO_LINES)),--numbers $(NUMBERED_HEADER))
NUMBERED_HEADER = $(NUMBERED)/genhdr/qstrdefs.generated.h
$(OBJ): | $(FROZEN)
# Written by that only where numbers change; make looks again, and at objects' lists of headers.
$(NUMBERED_HEADER): $(FROZEN)
	@:
# The tests' scripts give arguments by their names.
NO_ARGUMENTS = $(if $(filter 1-0,$(TUNLITE_NO_LINES)-$(TL_COMPILER)),--no-arguments)
# The pool of names that the program starts with is the one of names.h.
POOL = -UMICROPY_QSTR_EXTRA_POOL -DMICROPY_QSTR_EXTRA_POOL=tl_qstr_pool
$(BUILD)/py/qstr.o: CFLAGS += $(POOL)

$(BUILD)/frozen_content.c: | $(MPY_LIB_DIR)/README.md
$(MPY_LIB_DIR)/README.md:
	$(Q)$(MKDIR) -p $(@D) && touch $@

$(OUT): $(OBJ)
	$(ECHO) "LINK $@"
	$(Q)$(MKDIR) -p $(@D)
	$(Q)$(CC) -o $@ $(OBJ) -Wl,--gc-sections -Wl,--wrap=gc_alloc,--wrap=gc_realloc $(USER_CFLAGS) $(USER_LDFLAGS) -pthread -ldl
