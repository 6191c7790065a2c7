/* SPDX-License-Identifier: MIT */
/* The names of drops and counters. */
#include "base/stats.h"

#define TL_NAME(name, text) text "\n"
const char stats_drop_names[] = TL_DROPS(TL_NAME);
const char stats_count_names[] = TL_COUNTS(TL_NAME);
#undef TL_NAME
