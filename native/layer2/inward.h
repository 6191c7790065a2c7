/* SPDX-License-Identifier: MIT */
/* Layer 2's steps from the socket to the device (path/layer.h, path/rx.h). */
#ifndef TL_INWARD_H
#define TL_INWARD_H

#include "path/judge.h"

judge inward_admit, inward_authentic, inward_hear, inward_join, inward_check;
void inward_open(struct worker *w, struct queue *q);

#endif
