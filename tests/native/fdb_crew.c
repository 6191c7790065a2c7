/* SPDX-License-Identifier: MIT */
/* Workers that learn, find and sweep at once, each of its own peers. Under ThreadSanitizer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "layer2/fdb.h"

enum { WORKERS = 4, HOSTS = 200, PEERS = 16, PER_PEER = 40, ROWS = 256, ROUNDS = 40000 };

struct job {
    pthread_t thread;
    struct fdb *fdb;
    uint32_t id;
    unsigned long wrong;
};

static uint32_t draw(uint32_t *chance) {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 17;
    *chance ^= *chance << 5;
    return *chance;
}

/* A host is behind any peer, so it moves; nobody is ever behind a peer that is none. */
static void *work(void *arg) {
    struct job *job = arg;
    uint32_t chance = job->id + 1;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint32_t peer = draw(&chance) % (PEERS / WORKERS) * WORKERS + job->id;
        uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(draw(&chance) % HOSTS)};
        fdb_learn(job->fdb, mac, peer, 1000000 + i);
        mac[5] = (uint8_t)(draw(&chance) % HOSTS);
        uint32_t found = fdb_find(job->fdb, mac, 1000000 + i);
        job->wrong += found != FDB_NOBODY && found >= PEERS;
        if (job->id == 0 && i % 500 == 0)
            fdb_sweep(job->fdb, 1000000 + i);
    }
    return NULL;
}

int main(void) {
    struct job job[WORKERS];
    struct fdb *fdb;
    if (fdb_new(&fdb, ROWS, PER_PEER))
        return 2;
    for (uint32_t i = 0; i < WORKERS; i++) {
        job[i] = (struct job){.fdb = fdb, .id = i};
        pthread_create(&job[i].thread, NULL, work, &job[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(job[i].thread, NULL);
    fdb_sweep(fdb, 1000000 + ROUNDS);
    unsigned long wrong = 0;
    for (uint32_t i = 0; i < WORKERS; i++)
        wrong += job[i].wrong;
    uint32_t rows = 0, counted = 0;
    struct fdb_row row;
    for (uint32_t at = 0; fdb_next(fdb, &at, 1000000 + ROUNDS, &row);)
        rows++;
    for (uint32_t peer = 0; peer < PEERS; peer++)
        counted += fdb_count(fdb, peer);
    printf("%u rows, %u counted, %lu wrong\n", rows, counted, wrong);
    fdb_free(fdb);
    return wrong || rows != counted || rows < HOSTS / 2;
}
