/* SPDX-License-Identifier: MIT */
/* Two threads add to one number without a lock: what ThreadSanitizer must find. */
#include <pthread.h>
#include <stddef.h>

static int shared;

static void *add(void *unused) {
    (void)unused;
    for (int i = 0; i < 1000; i++)
        shared++;
    return NULL;
}

int main(void) {
    pthread_t other;
    if (pthread_create(&other, NULL, add, NULL))
        return 2;
    add(NULL);
    pthread_join(other, NULL);
    return shared == 0;
}
