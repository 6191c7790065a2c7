/* SPDX-License-Identifier: MIT */
/*
 * Poly1305 of several packets in the lanes of one instruction set, with keys of the caller's
 * choosing, which the cipher never lets a test choose. Included behind a file of native/crypto by a
 * file that defines TAGS and AEAD, its function's and its AEAD's names.
 */
int TAGS(const uint8_t *keys, const uint8_t *const *data, const uint32_t *len, uint32_t n,
         uint8_t *tags);

/* 64 bytes a key, of which 32 count; 16 a tag. The lanes there are; 0: not on this machine. */
int TAGS(const uint8_t *keys, const uint8_t *const *data, const uint32_t *len, uint32_t n,
         uint8_t *tags) {
#ifdef LANES
    static struct team team;
    static uint8_t rows[LANES][64];
    if (!AEAD.available())
        return 0;
    memcpy(rows, keys, n * sizeof rows[0]);
    team.n = 0;
    for (uint32_t i = 0; i < n; i++)
        add_lane(&team, data[i], len[i], false);
    run_team(&team, (const uint8_t(*)[64])rows);
    for (uint32_t i = 0; i < n; i++)
        take_tag(&team, i, tags + 16 * i);
    return LANES;
#else
    (void)keys, (void)data, (void)len, (void)n, (void)tags;
    return 0;
#endif
}
