/* SPDX-License-Identifier: MIT */
/* What a batch read or written ended with. */
#ifndef TL_IO_STATUS_H
#define TL_IO_STATUS_H

enum io_status {
    IO_DONE,    /* read: all that was there; write: all are on their way */
    IO_MORE,    /* read: as many as asked for, there may be more */
    IO_BLOCKED, /* write: the rest is still in the queue */
    IO_STARVED, /* read: no buffers */
    IO_GONE,    /* the device was deleted */
};

#endif
