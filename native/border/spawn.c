/* SPDX-License-Identifier: MIT */
/* Children, by pidfd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tunlite.h"

#ifndef P_PIDFD
#define P_PIDFD 3 /* Linux 5.4 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; all of our architectures but alpha share the number */
#endif

enum { FIRST_OTHER_FD = 3, LAST_FD_TRIED = 1024 };

/* Puts a process group into the foreground of our terminal in place of another; nothing where we
 * have no terminal. */
static void hand_terminal(pid_t from, pid_t to) {
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tty < 0)
        return;
    if (tcgetpgrp(tty) == from) {
        sigset_t stop, before;
        sigemptyset(&stop);
        sigaddset(&stop, SIGTTOU); /* which is what one gets for doing so from the background */
        sigprocmask(SIG_BLOCK, &stop, &before);
        tcsetpgrp(tty, to);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    close(tty);
}

/* Pointers to the NUL-terminated strings of a block, NULL at the end. The caller frees. */
static char **split(const unsigned char *block, int len) {
    int n = 0;
    if (len <= 0 || block[len - 1] != 0)
        return NULL;
    for (int i = 0; i < len; i++)
        n += block[i] == 0;
    char **list = calloc((size_t)n + 1, sizeof *list);
    const char *at = (const char *)block;
    for (int i = 0; list && i < n; i++) {
        list[i] = (char *)(uintptr_t)at; /* execve does not write to them */
        at += strlen(at) + 1;
    }
    return list;
}

static void default_signals(void) {
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int place(int fd, int where, int flags) {
    if (fd < 0)
        fd = open("/dev/null", flags);
    if (fd < 0 || (fd != where && dup2(fd, where) < 0))
        return -errno;
    return fd == where ? fcntl(fd, F_SETFD, 0) : 0;
}

static void close_from(int first) {
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    for (int fd = first; fd < LAST_FD_TRIED; fd++)
        close(fd);
}

/* It leads a process group, so that it can be ended with all that it started. Who gets our stdin
 * gets our terminal too: a group in the background would be stopped when it reads. Ctrl-Z stops
 * nobody then, as we would wait for it and nobody could wake it. */
static void lead_group(int in) {
    pid_t ours = getpgrp();
    setpgid(0, 0);
    if (in == STDIN_FILENO) {
        hand_terminal(ours, getpid());
        signal(SIGTSTP, SIG_IGN);
    }
}

/* In the child: only async-signal-safe calls. Descriptors may be numbered as others are to be. */
static void become(char **argv, char **env, const int fds[3]) {
    int in = fds[0], out = fds[1], more = fds[2], first = FIRST_OTHER_FD;
    default_signals();
    lead_group(in);
    if (more >= 0)
        more = fcntl(more, F_DUPFD, FIRST_OTHER_FD + 1);
    if (out == STDIN_FILENO)
        out = dup(out);
    if (place(in, STDIN_FILENO, O_RDONLY) < 0 || place(out, STDOUT_FILENO, O_WRONLY) < 0)
        _exit(127);
    if (more >= 0 && dup2(more, first++) < 0)
        _exit(127);
    close_from(first);
    if (env)
        execvpe(argv[0], argv, env);
    else
        execvp(argv[0], argv);
    _exit(127);
}

int tl_spawn(const unsigned char *argv, int argv_len, const unsigned char *env, int env_len,
             int stdin_fd, int stdout_fd, int fd3) {
    int result = -ENOMEM;
    char **args = split(argv, argv_len), **vars = env ? split(env, env_len) : NULL;
    if (!args || (env && env_len > 0 && !vars)) {
        result = -EINVAL;
        goto out;
    }
    char *empty[] = {NULL};
    const int fds[] = {stdin_fd, stdout_fd, fd3};
    signal(SIGCHLD, SIG_DFL); /* ignored, as some leave it, nobody could collect the child */
    pid_t pid = fork();
    if (pid == 0)
        become(args, env ? (vars ? vars : empty) : NULL, fds);
    if (pid < 0) {
        result = -errno;
        goto out;
    }
    result = (int)syscall(SYS_pidfd_open, pid, 0); /* no race: nobody else collects our children */
    if (result < 0) {
        result = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
out:
    free(vars);
    free(args);
    return result;
}

int tl_reap(int pidfd) {
    siginfo_t info = {0};
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    close(pidfd);
    hand_terminal(info.si_pid, getpgrp());
    return info.si_code == CLD_EXITED ? info.si_status : 256 + info.si_status;
}

int tl_kill(int pidfd, int signal_number) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}
