/* SPDX-License-Identifier: MIT */
/* ChaCha20 in portable C: the 16 words live in registers from the first round to the store.
 * Once per packet. */
#include "crypto/chacha20.h"

#include <stdbool.h>

#include "crypto/ct.h"
#include "crypto/le.h"

#define WORD uint32_t
#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))
#include "crypto/chacha20_rounds.h"

/* Loops over the words are written out, so that x never has an address and stays in registers. */
#define EACH_WORD(DO)                                                                              \
    DO(0)                                                                                          \
    DO(1)                                                                                          \
    DO(2)                                                                                          \
    DO(3)                                                                                          \
    DO(4)                                                                                          \
    DO(5)                                                                                          \
    DO(6)                                                                                          \
    DO(7)                                                                                          \
    DO(8)                                                                                          \
    DO(9)                                                                                          \
    DO(10)                                                                                         \
    DO(11)                                                                                         \
    DO(12)                                                                                         \
    DO(13)                                                                                         \
    DO(14)                                                                                         \
    DO(15)

void chacha20_init(struct chacha20 *s, const uint8_t key[32], const uint32_t nonce[3]) {
    memcpy(s->word, expand, sizeof expand);
    for (int i = 0; i < 8; i++)
        s->word[4 + i] = le32_load(key + 4 * i);
    s->word[12] = 0;
    for (int i = 0; i < 3; i++)
        s->word[13 + i] = nonce[i];
    memcpy(s->begun, s->word, sizeof s->begun);
    begin_rounds(s->begun);
}

/* `n` whole blocks. */
static void xor_blocks(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t n) {
    bool aligned = (((uintptr_t)dst | (uintptr_t)src) & 3) == 0;
    for (; n > 0; n--) {
        uint32_t x[16];
#define LOAD(i) x[i] = s->begun[i];
#define XOR(i) le32_store(dst + 4 * i, le32_load(src + 4 * i) ^ (x[i] + s->word[i]));
#define XOR_ALIGNED(i)                                                                             \
    le32_store_aligned(dst + 4 * i, le32_load_aligned(src + 4 * i) ^ (x[i] + s->word[i]));
        EACH_WORD(LOAD)
        x[12] = s->word[12];
        go_on_with_counter(x);
#pragma GCC unroll 3
        for (int i = 0; i < 9; i++)
            double_round(x);
        if (aligned) {
            EACH_WORD(XOR_ALIGNED)
        } else {
            EACH_WORD(XOR)
        }
        s->word[12]++;
        dst += CHACHA20_BLOCK;
        src += CHACHA20_BLOCK;
    }
}

void chacha20_block(struct chacha20 *s, uint8_t out[CHACHA20_BLOCK]) {
    memset(out, 0, CHACHA20_BLOCK);
    xor_blocks(s, out, out, 1);
}

void chacha20_xor(struct chacha20 *s, uint8_t *dst, const uint8_t *src, size_t len) {
    size_t whole = len / CHACHA20_BLOCK;
    size_t rest = len % CHACHA20_BLOCK;
    xor_blocks(s, dst, src, whole);
    if (rest > 0) {
        /* The key stream past the message would be as good as the plaintext of a longer one: it is
         * wiped with the rest. */
        uint32_t last[CHACHA20_BLOCK / 4] = {0};
        memcpy(last, src + whole * CHACHA20_BLOCK, rest);
        xor_blocks(s, (uint8_t *)last, (const uint8_t *)last, 1);
        memcpy(dst + whole * CHACHA20_BLOCK, last, rest);
        ct_wipe(last, sizeof last);
    }
}

/* The rounds without the sum at their end: it is taken off a block again, as cookies are too rare
 * to lay out the rounds once more. */
void hchacha20(uint8_t out[32], const uint8_t key[32], const uint8_t nonce[16]) {
    struct chacha20 s;
    uint32_t tail[3] = {le32_load(nonce + 4), le32_load(nonce + 8), le32_load(nonce + 12)};
    uint8_t block[CHACHA20_BLOCK];
    chacha20_init(&s, key, tail);
    s.word[12] = le32_load(nonce);
    chacha20_block(&s, block);
    s.word[12]--;
    for (int i = 0; i < 4; i++) {
        le32_store(out + 4 * i, le32_load(block + 4 * i) - s.word[i]);
        le32_store(out + 16 + 4 * i, le32_load(block + 48 + 4 * i) - s.word[12 + i]);
    }
    ct_wipe(block, sizeof block);
    ct_wipe(&s, sizeof s);
}
