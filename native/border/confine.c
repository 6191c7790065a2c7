/* SPDX-License-Identifier: MIT */
/* Giving up privileges, of the calling thread: capabilities are a thread's, so all of this is done
 * before there is another. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tunlite.h"

/* A capability that this kernel does not know ends the list. */
static int empty_bounding_set(void) {
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
            break;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -errno;
    }
    return 0;
}

static int keep_only(uint32_t caps) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    data[0].permitted &= caps; /* a container may not have given us all */
    data[0].effective = data[0].permitted;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The calls of libc would stop all threads to change each: 0.9 KB of code for none. Of the calls of
 * 32-bit ARM those without a number have ids of 16 bits. */
#ifdef SYS_setresuid32
enum { SETGROUPS = SYS_setgroups32, SETRESGID = SYS_setresgid32, SETRESUID = SYS_setresuid32 };
#else
enum { SETGROUPS = SYS_setgroups, SETRESGID = SYS_setresgid, SETRESUID = SYS_setresuid };
#endif

static int change_user(int uid, int gid) {
    if (gid != -1 && (syscall(SETGROUPS, 0, NULL) < 0 || syscall(SETRESGID, gid, gid, gid) < 0))
        return -errno;
    if (uid == -1)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    return syscall(SETRESUID, uid, uid, uid) < 0 ? -errno : 0;
}

static int no_new_privs(void) {
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The bounding set goes first: only CAP_SETPCAP may empty it, and without it (a daemon that was
 * started unprivileged) there is nothing to give up. */
int tl_confine(int uid, int gid, int caps) {
    if (caps == -1)
        return no_new_privs();
    int err = empty_bounding_set();
    if (err && err != -EPERM)
        return err;
    err = change_user(uid, gid);
    if (err)
        return err;
    err = keep_only((uint32_t)caps);
    if (err)
        return err;
    /* Our memory holds keys: no core dump, and no debugger without CAP_SYS_PTRACE. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return no_new_privs();
}
