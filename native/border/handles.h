/* SPDX-License-Identifier: MIT */
/* Python's small numbers for our objects. */
#ifndef TL_HANDLE_H
#define TL_HANDLE_H

#include "path/plane.h"

/* NULL: none of that number. */
struct plane *handle_plane(int handle);
struct peer *handle_peer(const struct plane *plane, int peer);

struct io_ops;
/* tl_plane_new with an engine that has no name there; NULL: the one the options name. */
int handle_plane_new(const unsigned char *options, int options_len, const struct io_ops *engine);

/* A record_endpoint's bytes; false when they are none. */
bool handle_endpoint(struct endpoint *e, const unsigned char *record);
void handle_put_endpoint(unsigned char *record, const struct endpoint *e);

#endif
