/* SPDX-License-Identifier: MIT */
/* What a kernel, a CPU or a build may offer, and why it is used or not. */
#ifndef TL_FEATURE_H
#define TL_FEATURE_H

#include <stdbool.h>
#include <stdint.h>

/* Numbers of TL_SEEN_FEATURE_NAMES; the AEADs follow in the order of aead_list. */
#define TL_FEATURES(X)                                                                             \
    X(BASIC, "basic")                                                                              \
    X(MMSG, "mmsg")                                                                                \
    X(IO_URING, "io_uring")                                                                        \
    X(TUN_VNET, "tun_vnet")                                                                        \
    X(TUN_TSO, "tun_tso")                                                                          \
    X(TUN_USO, "tun_uso")                                                                          \
    X(UDP_GSO, "udp_gso")                                                                          \
    X(UDP_GRO, "udp_gro")                                                                          \
    X(WORKERS, "workers")

/* Numbers of TL_SEEN_REASON_NAMES. */
#define TL_REASONS(X)                                                                              \
    X(CHOSEN, "chosen")                                                                            \
    X(AVAILABLE, "available, another was chosen")                                                  \
    X(NOT_BUILT, "not in this build")                                                              \
    X(NO_KERNEL, "this kernel lacks it")                                                           \
    X(NOT_PERMITTED,                                                                               \
      "the kernel forbids it: sysctl kernel.io_uring_disabled, or a seccomp filter")               \
    X(NO_CPU, "this processor lacks it, or a library it needs")                                    \
    X(SWITCHED_OFF, "switched off by the configuration")                                           \
    X(KERNEL_BROKEN, "this kernel's version is known to get it wrong")                             \
    X(NOT_IN_ENGINE, "the engine works without it")                                                \
    X(NO_DEVICE, "no device is attached")                                                          \
    X(NOT_IN_DEVICE, "the device was made without it")                                             \
    X(NEEDS_VNET, "needs tun_vnet")                                                                \
    X(READ_ONLY, "for reading; the kernel refuses to be written such packets")                     \
    X(NOT_ASKED, "one is enough unless more are asked for")                                        \
    X(NOT_EVERYWHERE, "on, but not to every endpoint: a path refused it, or begins at a ppp link")

#define TL_ENUM_FEATURE(name, text) FEATURE_##name,
#define TL_ENUM_REASON(name, text) REASON_##name,
enum feature { TL_FEATURES(TL_ENUM_FEATURE) FEATURE_AEADS };
enum reason { TL_REASONS(TL_ENUM_REASON) REASONS };
#undef TL_ENUM_FEATURE
#undef TL_ENUM_REASON

/* Whether an offload is used, and why: an enum reason, or -errno. */
struct feature_state {
    bool on;
    int32_t why;
};

static inline struct feature_state feature_on(void) {
    return (struct feature_state){true, REASON_CHOSEN};
}

static inline struct feature_state feature_off(int32_t why) {
    return (struct feature_state){false, why};
}

/* Of a set as record_options.offloads_off has it. */
static inline bool feature_in(uint32_t set, enum feature feature) {
    return (set >> feature & 1) != 0;
}

#endif
