/* SPDX-License-Identifier: MIT */
/* A plane's beginning. */
#ifndef TL_LIFETIME_H
#define TL_LIFETIME_H

struct io_ops;

/* tl_plane_new with an engine that has no name there; NULL: the one the options name. */
int lifetime_begin(const unsigned char *record, int record_len, const struct io_ops *engine);

#endif
