/* SPDX-License-Identifier: MIT */
/* What the engines that speak to the kernel have in common. */
#ifndef TL_IO_SHARED_H
#define TL_IO_SHARED_H

#include "outside/io.h"

/* A TUN or TAP descriptor is no socket: one packet a read(2) or write(2), whatever the engine. */
enum io_status io_read_device(struct io *io, struct queue *q, uint32_t max);
enum io_status io_write_device(struct io *io, struct queue *q);
uint64_t io_now_ms(struct io *io);
/* write_socket of an engine that sends packet by packet; `send` returns 0 or errno. */
enum io_status io_write_each(struct io *io, struct queue *q,
                             int (*send)(struct io *io, struct packet *p));

/* A datagram of `len` bytes, which begins so, did not fit: counted, and the next one of that length
 * will where a session of ours is named. Anybody can send a long one, and long slots are few. */
void io_truncated(struct io *io, const uint8_t *begin, uint32_t len);
/* The kernel's count of datagrams it dropped on this socket so far. */
void io_lost(struct io *io, unsigned which, uint32_t lost);
void io_received(struct io *io, const struct packet *p);
/* A small datagram in a slab of its own moves to where others are, so that a turn of small ones
 * does not use up all slabs. */
void io_move_small(struct io *io, struct packet *p);
/* A run's datagrams to the queue. A sender's kernel puts at most 64 (128 since Linux 6.7) in one;
 * what the queue cannot hold is lost, and counted. */
void io_take_run(struct io *io, struct queue *q, const struct packet *run, uint32_t segment);
/* Whether a device's errno means that it was deleted. */
bool io_is_gone(int err);
extern const struct io_calls io_calls_kernel;
int io_kernel_write_device(struct io *io, const struct iovec *iov, uint32_t n);
uint64_t io_kernel_now_ms(struct io *io);
int io_kernel_gro(struct io *io, int fd, bool on);

#endif
