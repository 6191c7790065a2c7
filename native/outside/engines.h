/* SPDX-License-Identifier: MIT */
/* Which engines there are, and what of features is used or why not. */
#ifndef TL_ENGINES_H
#define TL_ENGINES_H

#include "base/feature.h"

struct aead;
struct io_ops;

/* All names, newline-separated: writes at most `size` bytes; returns the length. */
uint32_t feature_names(char *out, uint32_t size);
extern const char feature_reason_names[];

/* Engines by name, of those that this build has; NULL: unknown. */
const struct io_ops *feature_engine(const char *name);
/* What "auto" means here. */
const struct io_ops *feature_engine_auto(void);

/* Sets the engines' states: available, or why not. */
void feature_probe_engines(struct feature_state *state);
/* Notes why this engine is not used although it was asked for: -errno. */
void feature_refused(struct feature_state *state, const struct io_ops *engine, int err);

/* What of a plane the rows are about; the states of engines and offloads are numbered as features.
 */
struct features {
    const struct io_ops *engine;
    const struct aead *aead;
    const struct feature_state *state;
};

/* Rows (uint16 feature, uint16 on, int32 reason). Returns their number, or -ENOSPC. */
int feature_rows(uint8_t *out, uint32_t size, const struct features *chosen);

#endif
