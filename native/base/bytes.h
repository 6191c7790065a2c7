/* SPDX-License-Identifier: MIT */
/* Loads and stores of packet bytes in a stated byte order: the only way in or out. */
#ifndef TL_BYTES_H
#define TL_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint16_t le16(uint16_t v) {
    return v;
}
static inline uint32_t le32(uint32_t v) {
    return v;
}
static inline uint64_t le64(uint64_t v) {
    return v;
}
static inline uint16_t be16(uint16_t v) {
    return __builtin_bswap16(v);
}
static inline uint32_t be32(uint32_t v) {
    return __builtin_bswap32(v);
}
static inline uint64_t be64(uint64_t v) {
    return __builtin_bswap64(v);
}
#else
static inline uint16_t le16(uint16_t v) {
    return __builtin_bswap16(v);
}
static inline uint32_t le32(uint32_t v) {
    return __builtin_bswap32(v);
}
static inline uint64_t le64(uint64_t v) {
    return __builtin_bswap64(v);
}
static inline uint16_t be16(uint16_t v) {
    return v;
}
static inline uint32_t be32(uint32_t v) {
    return v;
}
static inline uint64_t be64(uint64_t v) {
    return v;
}
#endif

#define TL_LOAD_STORE(bits, order)                                                                 \
    static inline uint##bits##_t load_##order##bits(const uint8_t *p) {                            \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof v);                                                                   \
        return order##bits(v);                                                                     \
    }                                                                                              \
    static inline void store_##order##bits(uint8_t *p, uint##bits##_t v) {                         \
        v = order##bits(v);                                                                        \
        memcpy(p, &v, sizeof v);                                                                   \
    }

TL_LOAD_STORE(16, le)
TL_LOAD_STORE(32, le)
TL_LOAD_STORE(64, le)
TL_LOAD_STORE(16, be)
TL_LOAD_STORE(32, be)
TL_LOAD_STORE(64, be)
#undef TL_LOAD_STORE

#endif
