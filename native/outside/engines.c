/* SPDX-License-Identifier: MIT */
/* What a kernel, a CPU or a build may offer. */
#include "outside/engines.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/aead.h"
#include "outside/io.h"
#include "outside/uring.h"

enum { ROW = 8 };

#define TL_NAME(name, text) text "\n"
static const char fixed_names[] = TL_FEATURES(TL_NAME);
const char feature_reason_names[] = TL_REASONS(TL_NAME);
#undef TL_NAME
#define TL_NAME(name, text) text,
static const char *const feature_name[] = {TL_FEATURES(TL_NAME)};
#undef TL_NAME

const struct io_ops *const io_list[] = {
    &io_mmsg,
    &io_basic,
#ifdef TL_IO_URING
    &io_uring, /* no faster than mmsg: docs/performance.md */
#endif
    NULL,
};

static uint32_t append(char *out, uint32_t size, uint32_t at, const char *text) {
    uint32_t len = (uint32_t)strlen(text);
    if (at + len <= size)
        memcpy(out + at, text, len);
    return at + len;
}

uint32_t feature_names(char *out, uint32_t size) {
    uint32_t len = append(out, size, 0, fixed_names);
    for (const struct aead *const *a = aead_list; *a; a++) {
        len = append(out, size, len, (*a)->name);
        len = append(out, size, len, "\n");
    }
    return len;
}

const struct io_ops *feature_engine(const char *name) {
    for (const struct io_ops *const *ops = io_list; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}

const struct io_ops *feature_engine_auto(void) {
    return io_list[0];
}

static struct feature_state state_of(int err) {
    if (err == -ENOSYS)
        return feature_off(REASON_NO_KERNEL);
    return feature_off(err == -EPERM || err == -EACCES ? REASON_NOT_PERMITTED : err);
}

void feature_probe_engines(struct feature_state *state) {
    for (int row = 0; row < FEATURE_TUN_VNET; row++) {
        const struct io_ops *ops = feature_engine(feature_name[row]);
        int err = ops && ops->available ? ops->available() : 0;
        state[row] = err ? state_of(err) : feature_off(ops ? REASON_AVAILABLE : REASON_NOT_BUILT);
    }
}

void feature_refused(struct feature_state *state, const struct io_ops *engine, int err) {
    for (int row = 0; row < FEATURE_TUN_VNET; row++)
        if (feature_engine(feature_name[row]) == engine)
            state[row] = state_of(err);
}

static void put_row(uint8_t *out, int row, bool on, int32_t why) {
    uint8_t *at = out + row * ROW;
    store_le16(at, (uint16_t)row);
    store_le16(at + 2, on);
    store_le32(at + 4, (uint32_t)why);
}

static void put_engine(uint8_t *out, int row, const struct features *chosen) {
    if (chosen->engine == feature_engine(feature_name[row]))
        put_row(out, row, true, REASON_CHOSEN);
    else
        put_row(out, row, false, chosen->state[row].why);
}

int feature_rows(uint8_t *out, uint32_t size, const struct features *chosen) {
    int rows = FEATURE_AEADS;
    for (const struct aead *const *a = aead_list; *a; a++)
        rows++;
    if (size / ROW < (uint32_t)rows)
        return -ENOSPC;
    for (int row = 0; row < FEATURE_TUN_VNET; row++)
        put_engine(out, row, chosen);
    for (int row = FEATURE_TUN_VNET; row < FEATURE_AEADS; row++)
        put_row(out, row, chosen->state[row].on, chosen->state[row].why);
    for (int row = FEATURE_AEADS; row < rows; row++) {
        const struct aead *a = aead_list[row - FEATURE_AEADS];
        if (a == chosen->aead)
            put_row(out, row, true, REASON_CHOSEN);
        else
            put_row(out, row, false, a->available() ? REASON_AVAILABLE : REASON_NO_CPU);
    }
    return rows;
}
