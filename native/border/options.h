/* SPDX-License-Identifier: MIT */
/* The options record of tl_plane_new. */
#ifndef TL_OPTIONS_H
#define TL_OPTIONS_H

#include "path/plane.h"
#include "turn/worker.h"

enum { MTU_MIN = 68 /* RFC 791 */, MTU_MAX = 65535 };

/* What all workers share. 0, -EINVAL, or -ENOTSUP: this build has no such AEAD. */
int options_of_plane(struct plane *plane, const unsigned char *record);
/* What layer 2 has of the plane: the bridge. 0, -EINVAL or -ENOMEM. */
int options_of_bridge(struct plane *plane, const unsigned char *record);
/* What a vxlan needs of the plane, and of each worker, whose options are there. Likewise. */
int options_of_vxlan(struct plane *plane, struct worker_options *o, const unsigned char *record);
/* What each is made with; an engine that is set stays. 0, -EINVAL, or -ENOTSUP: no such engine. */
int options_of_worker(struct worker_options *o, const unsigned char *record);

#endif
