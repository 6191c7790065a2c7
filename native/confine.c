/* SPDX-License-Identifier: MIT */
/* Giving up privileges. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
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

static int change_user(int uid, int gid) {
    if (gid != -1 && (setgroups(0, NULL) < 0 || setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) < 0))
        return -errno;
    if (uid == -1)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    return setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0 ? -errno : 0;
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
