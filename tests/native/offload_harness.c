/* SPDX-License-Identifier: MIT */
/*
 * One request of bytes in, one answer of bytes out, through native/inside/offload*.c and
 * checksum*.c. Every buffer that they see is a heap block of exactly its length, so
 * AddressSanitizer and valgrind notice a byte read or written too far. Linked into the tests'
 * extension module, and a program of its own for sanitizers and emulated CPUs:
 *
 *   offload_harness < requests > answers
 *
 * Requests and answers of the program are each preceded by their length (32 bits). All integers
 * are 32 bits, big endian; "bytes" is a length and so many bytes.
 *   request 'L'                  -> number of checksums, (bytes name, available)...
 *   request 'C' checksum, shift, bytes -> sum, sum of copy, bytes copied
 *   request 'S' checksum, ethernet, headroom, tailroom, pad, mtu, size of room, max slices,
 *               bytes frame
 *                                -> result of begin, bytes frame; then for each next: result, done,
 *                                   (offset, length)..., bytes room
 *   request 'M' checksum, ethernet, kinds, unmerge, count, (bytes packet)...
 *                                -> groups, (packets, bytes, (bytes iovec)...)...
 *   request 'E' ecn, bytes packet -> bytes packet
 *   request 'U' check, from, to  -> check
 */
#include "offload_harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "inside/checksum.h"
#include "inside/offload.h"

struct stream {
    uint8_t *p;
    size_t left;
};

static void need(struct stream *s, size_t n) {
    if (s->left < n) {
        fprintf(stderr, "offload_harness: a request or answer is too long\n");
        abort();
    }
}

static uint32_t get(struct stream *s) {
    need(s, 4);
    uint32_t v = load_be32(s->p);
    s->p += 4;
    s->left -= 4;
    return v;
}

static void put(struct stream *s, uint32_t v) {
    need(s, 4);
    store_be32(s->p, v);
    s->p += 4;
    s->left -= 4;
}

static void put_bytes(struct stream *s, const void *p, size_t n) {
    put(s, (uint32_t)n);
    need(s, n);
    if (n > 0)
        memcpy(s->p, p, n);
    s->p += n;
    s->left -= n;
}

static uint8_t *heap(size_t n) {
    uint8_t *p = malloc(n > 0 ? n : 1);
    if (p == NULL)
        abort();
    return p;
}

/* A copy on the heap behind `room` more bytes. */
static uint8_t *get_bytes(struct stream *s, uint32_t room, uint32_t *len) {
    *len = get(s);
    need(s, *len);
    uint8_t *p = heap(room + *len);
    memset(p, 0xee, room);
    memcpy(p + room, s->p, *len);
    s->p += *len;
    s->left -= *len;
    return p;
}

static void list(struct stream *out) {
    uint32_t n = 0;
    while (checksum_list[n] != NULL)
        n++;
    put(out, n);
    for (uint32_t i = 0; i < n; i++) {
        put_bytes(out, checksum_list[i]->name, strlen(checksum_list[i]->name));
        put(out, checksum_list[i]->available());
    }
}

static void sum(struct stream *in, struct stream *out) {
    const struct checksum *c = checksum_list[get(in)];
    uint32_t shift = get(in), len;
    uint8_t *from = get_bytes(in, shift, &len), *to = heap(len);
    put(out, c->sum(from + shift, len));
    put(out, c->copy(to, from + shift, len));
    put_bytes(out, to, len);
    free(from);
    free(to);
}

static void split(struct stream *in, struct stream *out) {
    struct offload_split s = {.checksum = checksum_list[get(in)]};
    s.is_ethernet = get(in) != 0;
    struct offload_room room = {.headroom = (uint16_t)get(in), .tailroom = (uint16_t)get(in)};
    room.pad = (uint16_t)get(in);
    room.mtu = (uint16_t)get(in);
    room.size = get(in);
    room.data = heap(room.size);
    uint32_t max = get(in), len;
    uint8_t *frame = get_bytes(in, 0, &len);
    struct offload_slice *slices = (void *)heap(max * sizeof *slices);
    int result = offload_split_begin(&s, frame, len);
    put(out, (uint32_t)result);
    put_bytes(out, frame, len);
    while (result > 0 && !s.done) {
        memset(room.data, 0xee, room.size);
        result = offload_split_next(&s, &room, slices, max);
        put(out, (uint32_t)result);
        put(out, s.done);
        for (int i = 0; i < result; i++) {
            put(out, slices[i].offset);
            put(out, slices[i].len);
        }
        put_bytes(out, room.data, room.size);
    }
    free(room.data);
    free(frame);
    free(slices);
}

static void merge(struct stream *in, struct stream *out) {
    struct offload_merge *m = (void *)heap(sizeof *m);
    memset(m, 0xee, sizeof *m);
    m->checksum = checksum_list[get(in)];
    m->is_ethernet = get(in) != 0;
    m->kinds = get(in);
    uint32_t unmerge = get(in), count = get(in);
    uint8_t *blocks[OFFLOAD_MERGE_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len;
        blocks[i] = get_bytes(in, OFFLOAD_HEADER, &len);
        m->in[i] = (struct iovec){.iov_base = blocks[i] + OFFLOAD_HEADER, .iov_len = len};
    }
    put(out, offload_merge(m, count));
    for (uint32_t i = 0; i < m->n; i++) {
        struct offload_group *g = &m->group[i];
        if (unmerge && g->packets > 1)
            offload_unmerge(m, g);
        put(out, g->packets);
        put(out, g->bytes);
        for (uint32_t j = 0; j < g->packets; j++)
            put_bytes(out, m->iov[g->first + j].iov_base, m->iov[g->first + j].iov_len);
    }
    for (uint32_t i = 0; i < count; i++)
        free(blocks[i]);
    free(m);
}

static void set_ecn(struct stream *in, struct stream *out) {
    uint8_t ecn = (uint8_t)get(in);
    uint32_t len;
    uint8_t *packet = get_bytes(in, 0, &len);
    checksum_set_ecn(packet, ecn);
    put_bytes(out, packet, len);
    free(packet);
}

size_t offload_harness(uint8_t *request, size_t len, uint8_t *answer, size_t size) {
    struct stream in = {request, len}, out = {answer, size};
    switch (get(&in)) {
    case 'L':
        list(&out);
        break;
    case 'C':
        sum(&in, &out);
        break;
    case 'S':
        split(&in, &out);
        break;
    case 'M':
        merge(&in, &out);
        break;
    case 'E':
        set_ecn(&in, &out);
        break;
    case 'U': {
        uint32_t check = get(&in), from = get(&in), to = get(&in);
        put(&out, checksum_update((uint16_t)check, (uint16_t)from, (uint16_t)to));
        break;
    }
    default:
        abort();
    }
    return size - out.left;
}
