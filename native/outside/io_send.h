/* SPDX-License-Identifier: MIT */
/* A queue of packets as messages of one datagram or a run, for engines that send several at once.
 */
#ifndef TL_IO_SEND_H
#define TL_IO_SEND_H

#include <sys/socket.h>

#include "outside/datagram.h"
#include "outside/io.h"

enum { SEND_MESSAGES_MAX = 64 }; /* of one io_calls.send */

struct send {
    struct mmsghdr header[SEND_MESSAGES_MAX];
    struct datagram datagram[SEND_MESSAGES_MAX]; /* behind the headers */
    uint16_t packets[SEND_MESSAGES_MAX];         /* of each message */
    struct iovec iov[];                          /* o->out_max */
};

/* Makes o->send: 0 or -ENOMEM; send_free either way. */
int send_new(struct outside *o);
void send_free(struct outside *o);
/* io_ops.write of such an engine. */
enum io_status send_queue(struct outside *o, struct queue *q);

#endif
