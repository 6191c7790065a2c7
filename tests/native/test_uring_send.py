# SPDX-License-Identifier: MIT
"""What io_uring.c makes of a submission's completions, on a ring of this test's own."""

import errno
import platform

import pytest

from machine import native_build

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="no io_uring on this machine"
)

PREAMBLE = """
#include "../../../native/outside/io_uring.c"

/* The ring: each call of uring_enter completes what script says, as (message, result). */
static struct {
    struct uring_sqe sqe[64];
    struct uring_cqe cqe[64];
    uint32_t sqes, head, tail;
    int result[64][64]; /* by call and message; 1: not in this call */
    int calls, err;
    uint64_t late;
} ring;

struct uring_sqe *uring_next(struct uring *u) {
    (void)u;
    return &ring.sqe[ring.sqes++];
}

int uring_enter(struct uring *u, uint32_t wait) {
    (void)u;
    (void)wait;
    for (uint32_t i = 0; i < ring.sqes; i++)
        if (ring.result[ring.calls][i] <= 0)
            ring.cqe[ring.tail++] = (struct uring_cqe){.user_data = ring.sqe[i].user_data,
                                                       .result = ring.result[ring.calls][i]};
    ring.calls++;
    return ring.err;
}

const struct uring_cqe *uring_peek(const struct uring *u) {
    (void)u;
    return ring.head == ring.tail ? NULL : &ring.cqe[ring.head];
}

void uring_seen(struct uring *u) {
    (void)u;
    ring.head++;
}

int uring_probe(void) { return 0; }
int uring_open(struct uring *u, uint32_t e, uint32_t c) { (void)u; (void)e; (void)c; return 0; }
void uring_close(struct uring *u) { (void)u; }
int uring_buffers_open(struct uring *u, struct uring_buffers *b, uint32_t slots) {
    (void)u; (void)b; (void)slots; return 0;
}
void uring_buffers_close(struct uring_buffers *b) { (void)b; }
void uring_buffers_put(struct uring_buffers *b, uint16_t number, void *at, uint32_t len) {
    (void)b; (void)number; (void)at; (void)len;
}

/* uring_send of n messages: `results` are those of up to 16 calls of uring_enter; before them one
 * of an earlier submission comes late. */
static int send_some(int n, const int *results, int calls, int err) {
    static struct engine engine;
    static struct mmsghdr messages[64];
    struct outside o = {.state = &engine};
    memset(&ring, 0, sizeof ring);
    for (int c = 0; c < 64; c++)
        for (int i = 0; i < n; i++)
            ring.result[c][i] = c < calls ? results[c * n + i] : 1;
    ring.err = err;
    ring.cqe[ring.tail++] = (struct uring_cqe){.user_data = (uint64_t)engine.submission << 32,
                                               .result = -ECONNREFUSED};
    return uring_send(&o, 0, messages, (uint32_t)n);
}
"""


@pytest.fixture(scope="module")
def send():
    skipped = ("native/outside/io_uring.c", "native/outside/uring.c")
    sources = [name for name in native_build.core_sources() if name not in skipped]
    cdef = "static int send_some(int n, const int *results, int calls, int err);"
    module = native_build.test_module("_test_uring_send", cdef, PREAMBLE, sources)

    def call(*calls, err=0):
        """Each call of the kernel's: results by message, None where one does not complete."""
        flat = [1 if result is None else result for results in calls for result in results]
        return module.lib.send_some(len(calls[0]), flat, len(calls), -err)

    return call


def test_all_that_completed_well_was_sent(send):
    assert send([0, 0, 0, 0]) == 4


def test_what_has_no_completion_was_not_sent(send):
    assert send([0, 0, None, None]) == 2
    assert send([None, 0, 0, 0]) == -errno.EINTR


def test_completions_that_come_by_a_later_wait_count(send):
    assert send([0, 0, None, None], [None, None, 0, None], [None, None, None, 0]) == 4


def test_behind_a_failure_nothing_was_sent(send):
    assert send([0, -errno.EAGAIN, -errno.ECANCELED, -errno.ECANCELED]) == 1
    assert send([-errno.EAGAIN, -errno.ECANCELED]) == -errno.EAGAIN


def test_a_ring_that_fails_tells_its_error_unless_some_were_sent(send):
    assert send([None, None], err=errno.EBADF) == -errno.EBADF
    assert send([0, None], err=errno.EBADF) == 1
