/* SPDX-License-Identifier: MIT */
/* The border's stateless functions: checked lengths, then native/crypto. */
#include <errno.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "base/bytes.h"
#include "base/os.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/ct.h"
#include "tunlite.h"

/* The kernel's word on whether something (NTP, GPS) disciplines the clock. */
static int is_synchronised(void) {
    struct timex t = {.modes = 0};
    return adjtimex(&t) != TIME_ERROR; /* which says STA_UNSYNC; libc_small.c fills in nothing */
}

int tl_clock(int clock, unsigned char *nanoseconds8) {
    static const clockid_t ids[] = {CLOCK_BOOTTIME, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID};
    struct timespec t;
    if (clock < TL_CLOCK_BOOT || clock > TL_CLOCK_CPU)
        return -EINVAL;
    if (clock_gettime(ids[clock], &t) < 0)
        return -errno;
    store_le64(nanoseconds8, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
    return clock == TL_CLOCK_WALL ? is_synchronised() : 0;
}

int tl_random(unsigned char *out, int out_len) {
    if (out_len < 0)
        return -EINVAL;
    os_random(out, (size_t)out_len);
    return 0;
}

int tl_wipe(unsigned char *buf, int buf_len) {
    if (buf_len < 0)
        return -EINVAL;
    ct_wipe(buf, (size_t)buf_len);
    return 0;
}

int tl_equal(const unsigned char *a, int a_len, const unsigned char *b, int b_len) {
    if (a_len < 0 || b_len < 0)
        return -EINVAL;
    return a_len == b_len && ct_equal(a, b, (size_t)a_len);
}

int tl_blake2s(unsigned char *out, int out_len, const unsigned char *key, int key_len,
               const unsigned char *in, int in_len) {
    if (out_len < 1 || out_len > BLAKE2S_OUT || key_len < 0 || key_len > BLAKE2S_KEY || in_len < 0)
        return -EINVAL;
    blake2s(out, (size_t)out_len, key, (size_t)key_len, in, (size_t)in_len);
    return 0;
}

int tl_kdf(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *in,
           int in_len) {
    if ((out_len != 32 && out_len != 64 && out_len != 96) || in_len < 0)
        return -EINVAL;
    blake2s_kdf(out, (size_t)out_len / 32, key32, in, (size_t)in_len);
    return 0;
}

static int nonce_is_valid(int nonce_len) {
    return nonce_len == 0 || nonce_len == 12 || nonce_len == 24;
}

int tl_seal(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *nonce,
            int nonce_len, const unsigned char *ad, int ad_len, const unsigned char *in,
            int in_len) {
    static const unsigned char zero[12];
    if (!nonce_is_valid(nonce_len) || ad_len < 0 || in_len < 0 || out_len != in_len + AEAD_TAG_LEN)
        return -EINVAL;
    struct bytes with = {ad, (size_t)ad_len}, plain = {in, (size_t)in_len};
    if (nonce_len == 24)
        xaead_seal_ad(out, key32, nonce, with, plain);
    else
        aead_seal_ad(out, key32, nonce_len ? nonce : zero, with, plain);
    return 0;
}

int tl_open(unsigned char *out, int out_len, const unsigned char *key32, const unsigned char *nonce,
            int nonce_len, const unsigned char *ad, int ad_len, const unsigned char *in,
            int in_len) {
    static const unsigned char zero[12];
    if (!nonce_is_valid(nonce_len) || ad_len < 0 || in_len < AEAD_TAG_LEN ||
        out_len != in_len - AEAD_TAG_LEN)
        return -EINVAL;
    struct bytes with = {ad, (size_t)ad_len}, sealed = {in, (size_t)in_len};
    int ok = nonce_len == 24 ? xaead_open_ad(out, key32, nonce, with, sealed)
                             : aead_open_ad(out, key32, nonce_len ? nonce : zero, with, sealed);
    return ok ? 0 : -EBADMSG;
}
