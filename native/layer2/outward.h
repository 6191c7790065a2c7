/* SPDX-License-Identifier: MIT */
/* Layer 2's steps from the device to the socket (path/layer.h, path/tx.h). */
#ifndef TL_OUTWARD_H
#define TL_OUTWARD_H

#include "path/judge.h"

judge outward_validate, outward_route;
void outward_cut(struct worker *w, struct queue *q, uint32_t from);
void outward_seal(struct worker *w, struct queue *q, uint32_t from);

#endif
