/* SPDX-License-Identifier: MIT */
/* What other workers passed to this one (path/passing.h). */
#ifndef TL_TAKE_H
#define TL_TAKE_H

#include <stdbool.h>

struct worker;

/* In a turn, behind both directions: takes what was passed to this worker, rings the bells. True
 * when it may have more at once. */
bool take_turn(struct worker *w);

#endif
