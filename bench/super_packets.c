/* SPDX-License-Identifier: MIT */
/*
 * What native/inside/offload*.c and checksum*.c cost: nanoseconds for one super-packet.
 *
 *   cc -O3 -Inative bench/super_packets.c native/inside/offload*.c native/inside/checksum*.c
 *
 *   a.out [SECONDS]       every checksum of this CPU, the quickest of SECONDS (1) of runs
 *   a.out split|merge N   N super-packets by the best one and nothing else, to count instructions:
 *                         run it for two N and take the difference
 */
/*
 * What native/inside/offload*.c and checksum*.c cost: nanoseconds for one super-packet.
 *
 *   cc -O3 -Inative bench/offload.c native/inside/offload*.c native/inside/checksum*.c -o
 * /tmp/offload /tmp/offload [SECONDS]      every checksum of this CPU, the quickest of SECONDS (1)
 * of runs /tmp/offload split|merge N  N super-packets by the best one and nothing else, to count
 *                               instructions: run it for two N and take the difference
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "inside/offload.h"

enum {
    HEADERS = 52, /* IPv4, TCP, timestamps */
    MSS = 1368,   /* MTU 1420 */
    SEGMENTS = 47,
    PAYLOAD = SEGMENTS * MSS,
    FRAME = OFFLOAD_HEADER + HEADERS + PAYLOAD,
    ROOM = SEGMENTS * (16 + HEADERS + MSS + 16),
};

/* Frames begin 6 bytes in, so that packets are 16-byte aligned, as the plane has them. */
static _Alignas(64) uint8_t in[6 + FRAME], room_bytes[ROOM];
static uint8_t *const frame = in + 6;
static struct offload_slice slices[OFFLOAD_GROUP_MAX];
static struct offload_merge merger;

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make_frame(void) {
    static const uint8_t ip[20] = {0x45, 0, 0,  0, 1, 2, 0x40, 0, 64, 6,
                                   0,    0, 10, 0, 0, 1, 10,   0, 0,  2};
    uint8_t *packet = frame + OFFLOAD_HEADER;
    for (uint32_t i = 0; i < HEADERS + PAYLOAD; i++)
        packet[i] = (uint8_t)(i * 2654435761u >> 24);
    memcpy(packet, ip, sizeof ip);
    store_be16(packet + 2, HEADERS + PAYLOAD);
    store_be16(packet + 20 + 12, 0x8010); /* 32 bytes, ACK */
    struct offload_header h = {.flags = VNET_NEEDS_CSUM, .gso_type = VNET_GSO_TCPV4};
    h.gso_size = MSS;
    h.csum_start = 20;
    h.csum_offset = 16;
    offload_header_store(frame, &h);
}

static uint32_t split(const struct checksum *checksum) {
    struct offload_room room = {.data = room_bytes, .size = ROOM, .headroom = 16, .tailroom = 16};
    room.pad = 16;
    room.mtu = HEADERS + MSS;
    struct offload_split s = {.checksum = checksum};
    if (offload_split_begin(&s, frame, FRAME) != 2)
        abort();
    return (uint32_t)offload_split_next(&s, &room, slices, OFFLOAD_GROUP_MAX);
}

/* Merging changes the first packet's headers; taking it apart again, which is not timed, restores
 * them. */
static uint32_t merge(const struct checksum *checksum) {
    merger.checksum = checksum;
    merger.kinds = OFFLOAD_TCP;
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        merger.in[i].iov_base = room_bytes + slices[i].offset;
        merger.in[i].iov_len = slices[i].len;
    }
    return offload_merge(&merger, SEGMENTS);
}

static void restore(void) {
    if (merger.n != 1 || merger.group[0].packets != SEGMENTS)
        abort();
    offload_unmerge(&merger, &merger.group[0]);
}

static void measure(const struct checksum *checksum, double seconds) {
    double split_ns = 1e9, merge_ns = 1e9, end = now_ns() + seconds * 1e9;
    while (now_ns() < end) {
        double t0 = now_ns();
        if (split(checksum) != SEGMENTS)
            abort();
        double t1 = now_ns();
        merge(checksum);
        double t2 = now_ns();
        restore();
        split_ns = t1 - t0 < split_ns ? t1 - t0 : split_ns;
        merge_ns = t2 - t1 < merge_ns ? t2 - t1 : merge_ns;
    }
    printf("%-10s split %8.0f ns  merge %8.0f ns  (%d segments, %d bytes of payload)\n",
           checksum->name, split_ns, merge_ns, SEGMENTS, PAYLOAD);
}

static int repeat(bool is_split, long n) {
    const struct checksum *checksum = checksum_choose();
    split(checksum);
    for (long i = 0; i < n; i++) {
        uint8_t saved[HEADERS]; /* what merging changes, cheaper than taking apart */
        memcpy(saved, room_bytes + slices[0].offset, HEADERS);
        if (is_split)
            split(checksum);
        else
            merge(checksum);
        memcpy(room_bytes + slices[0].offset, saved, HEADERS);
    }
    return 0;
}

int main(int argc, char **argv) {
    make_frame();
    if (argc == 3)
        return repeat(strcmp(argv[1], "split") == 0, strtol(argv[2], NULL, 10));
    for (uint32_t i = 0; checksum_list[i] != NULL; i++)
        if (checksum_list[i]->available())
            measure(checksum_list[i], argc == 2 ? strtod(argv[1], NULL) : 1);
    return 0;
}
