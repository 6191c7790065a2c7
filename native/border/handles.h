/* SPDX-License-Identifier: MIT */
/* Python's small numbers for our objects. */
#ifndef TL_HANDLE_H
#define TL_HANDLE_H

#include "path/peer.h"
#include "path/plane.h"

/* A number that names no plane, or -EMFILE. */
int handle_unused(void);
/* From now on it names this plane; NULL: none. */
void handle_set(int handle, struct plane *plane);
/* NULL: none of that number. */
struct plane *handle_plane(int handle);
struct peer *handle_peer(const struct plane *plane, int peer);

/* A record_endpoint's bytes; false when they are none. */
bool handle_endpoint(struct endpoint *e, const unsigned char *record);
void handle_put_endpoint(unsigned char *record, const struct endpoint *e);

#endif
