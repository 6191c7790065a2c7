/* SPDX-License-Identifier: MIT */
/* What the engines that speak to the kernel have in common. */
#ifndef TL_IO_SHARED_H
#define TL_IO_SHARED_H

#include "outside/io.h"

uint64_t io_now_ms(struct outside *o);
/* `write` of an engine that sends packet by packet; `send` returns 0 or errno. */
enum io_status io_write_each(struct outside *o, struct queue *q,
                             int (*send)(struct outside *o, struct packet *p));

/* A datagram of `len` bytes, which begins so, did not fit: counted, and the next one of that length
 * will where a session of ours is named. Anybody can send a long one, and long slots are few. */
void io_truncated(struct outside *o, const uint8_t *begin, uint32_t len);
/* The kernel's count of datagrams it dropped on this socket so far. */
void io_lost(struct outside *o, unsigned which, uint32_t lost);
void io_received(struct outside *o, const struct packet *p);
/* A small datagram in a slab of its own moves to where others are, so that a turn of small ones
 * does not use up all slabs. */
void io_move_small(struct outside *o, struct packet *p);
/* A run's datagrams to the queue. A sender's kernel puts at most 64 (128 since Linux 6.7) in one;
 * what the queue cannot hold is lost, and counted. */
void io_take_run(struct outside *o, struct queue *q, const struct packet *run, uint32_t segment);
extern const struct io_calls io_calls_kernel;
uint64_t io_kernel_now_ms(struct outside *o);
int io_kernel_gro(struct outside *o, int fd, bool on);

#endif
