/* SPDX-License-Identifier: MIT */
/*
 * The module `_os`: system calls that tunlite/system/micropython.py is built of, one function each.
 *
 * Descriptors and flags are ints, failures are OSError(errno). A call that a signal interrupts is
 * made again.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heap.h"
#include "py/runtime.h"
#include "py/unicode.h"

static mp_obj_t checked(long result) {
    if (result < 0) {
        mp_raise_OSError(errno);
    }
    return mp_obj_new_int(result);
}

static int whole(mp_obj_t value) {
    return (int)mp_obj_get_int(value);
}

#define FUNCTION_0(name) static MP_DEFINE_CONST_FUN_OBJ_0(name##_obj, name)
#define FUNCTION_1(name) static MP_DEFINE_CONST_FUN_OBJ_1(name##_obj, name)
#define FUNCTION_2(name) static MP_DEFINE_CONST_FUN_OBJ_2(name##_obj, name)
#define FUNCTION_3(name) static MP_DEFINE_CONST_FUN_OBJ_3(name##_obj, name)

/* ---- process
 * ------------------------------------------------------------------------------------- */

static mp_obj_t os_getpid(void) {
    return mp_obj_new_int(getpid());
}
FUNCTION_0(os_getpid);

static mp_obj_t os_getppid(void) {
    return mp_obj_new_int(getppid());
}
FUNCTION_0(os_getppid);

/* Close-on-exec by itself. */
static mp_obj_t os_pidfd_open(mp_obj_t pid) {
    return checked(syscall(SYS_pidfd_open, whole(pid), 0));
}
FUNCTION_1(os_pidfd_open);

static mp_obj_t os_setsid(void) {
    return checked(setsid());
}
FUNCTION_0(os_setsid);

/* Who started us may have had SIGCHLD ignored: nobody could be told how a child ended. */
static mp_obj_t os_fork(void) {
    signal(SIGCHLD, SIG_DFL);
    return checked(fork());
}
FUNCTION_0(os_fork);

static mp_obj_t os_exit(mp_obj_t status) {
    _exit(whole(status));
}
FUNCTION_1(os_exit);

static mp_obj_t os_keep_back(mp_obj_t keep) {
    heap_keep_back(mp_obj_is_true(keep));
    return mp_const_none;
}
FUNCTION_1(os_keep_back);

static mp_obj_t os_umask(mp_obj_t mask) {
    return mp_obj_new_int((mp_int_t)umask((mode_t)whole(mask)));
}
FUNCTION_1(os_umask);

/* None while it runs and `block` is false, else exit status or 256 + signal. */
static mp_obj_t os_waitpid(mp_obj_t pid, mp_obj_t block) {
    int status;
    pid_t found;
    do {
        found = waitpid(whole(pid), &status, mp_obj_is_true(block) ? 0 : WNOHANG);
    } while (found < 0 && errno == EINTR);
    checked(found);
    if (found == 0) {
        return mp_const_none;
    }
    return mp_obj_new_int(WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status));
}
FUNCTION_2(os_waitpid);

static mp_obj_t os_kill(mp_obj_t pid, mp_obj_t number) {
    return checked(kill(whole(pid), whole(number)));
}
FUNCTION_2(os_kill);

static mp_obj_t os_getenv(mp_obj_t name) {
    const char *value = getenv(mp_obj_str_get_str(name));
    return value ? mp_obj_new_str_from_cstr(value) : mp_const_none;
}
FUNCTION_1(os_getenv);

static mp_obj_t os_isatty(mp_obj_t fd) {
    return mp_obj_new_bool(isatty(whole(fd)));
}
FUNCTION_1(os_isatty);

static mp_obj_t os_strerror(mp_obj_t number) {
    return mp_obj_new_str_from_cstr(strerror(whole(number)));
}
FUNCTION_1(os_strerror);

/* ---- signals
 * --------------------------------------------------------------------------------------- */

static int signal_pipe = -1;

static void signal_arrived(int number) {
    int before = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t n = write(signal_pipe, &byte, 1); /* full: there is enough to wake for */
    (void)n;
    errno = before;
}

/* The numbers of the signals in the tuple appear as bytes at `fd` from now on. */
static mp_obj_t os_signals(mp_obj_t fd, mp_obj_t numbers) {
    size_t n;
    mp_obj_t *number;
    mp_obj_get_array(numbers, &n, &number);
    signal_pipe = whole(fd);
    struct sigaction action = {.sa_handler = signal_arrived, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < n; i++) {
        checked(sigaction(whole(number[i]), &action, NULL));
    }
    return mp_const_none;
}
FUNCTION_2(os_signals);

/* ---- files
 * ------------------------------------------------------------------------------------------- */

static mp_obj_t os_open(mp_obj_t path, mp_obj_t flags, mp_obj_t mode) {
    const char *name = mp_obj_str_get_str(path);
    return checked(open(name, whole(flags) | O_CLOEXEC, (mode_t)whole(mode)));
}
FUNCTION_3(os_open);

static mp_obj_t os_fsync(mp_obj_t fd) {
    return checked(fsync(whole(fd)));
}
FUNCTION_1(os_fsync);

static mp_obj_t os_flock(mp_obj_t fd) {
    int result;
    do {
        result = flock(whole(fd), LOCK_EX);
    } while (result < 0 && errno == EINTR);
    return checked(result);
}
FUNCTION_1(os_flock);

static mp_obj_t os_fchmod(mp_obj_t fd, mp_obj_t mode) {
    return checked(fchmod(whole(fd), (mode_t)whole(mode)));
}
FUNCTION_2(os_fchmod);

static mp_obj_t os_chmod(mp_obj_t path, mp_obj_t mode) {
    return checked(chmod(mp_obj_str_get_str(path), (mode_t)whole(mode)));
}
FUNCTION_2(os_chmod);

static mp_obj_t os_chown(mp_obj_t path, mp_obj_t uid, mp_obj_t gid) {
    return checked(chown(mp_obj_str_get_str(path), (uid_t)whole(uid), (gid_t)whole(gid)));
}
FUNCTION_3(os_chown);

static mp_obj_t os_mkdir(mp_obj_t path, mp_obj_t mode) {
    return checked(mkdir(mp_obj_str_get_str(path), (mode_t)whole(mode)));
}
FUNCTION_2(os_mkdir);

static mp_obj_t os_rmdir(mp_obj_t path) {
    return checked(rmdir(mp_obj_str_get_str(path)));
}
FUNCTION_1(os_rmdir);

static mp_obj_t os_chdir(mp_obj_t path) {
    return checked(chdir(mp_obj_str_get_str(path)));
}
FUNCTION_1(os_chdir);

static mp_obj_t os_getcwd(void) {
    char path[PATH_MAX];
    checked(getcwd(path, sizeof path) ? 0 : -1);
    return mp_obj_new_str_from_cstr(path);
}
FUNCTION_0(os_getcwd);

static mp_obj_t os_unlink(mp_obj_t path) {
    return checked(unlink(mp_obj_str_get_str(path)));
}
FUNCTION_1(os_unlink);

static mp_obj_t os_rename(mp_obj_t old, mp_obj_t new) {
    return checked(rename(mp_obj_str_get_str(old), mp_obj_str_get_str(new)));
}
FUNCTION_2(os_rename);

/* (mode, uid, gid, size) */
static mp_obj_t stat_row(int result, const struct stat *found) {
    checked(result);
    mp_obj_t row[] = {
        mp_obj_new_int_from_uint(found->st_mode),
        mp_obj_new_int_from_uint(found->st_uid),
        mp_obj_new_int_from_uint(found->st_gid),
        mp_obj_new_int_from_ll(found->st_size),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(row), row);
}

static mp_obj_t os_stat(mp_obj_t path) {
    struct stat found;
    return stat_row(stat(mp_obj_str_get_str(path), &found), &found);
}
FUNCTION_1(os_stat);

static mp_obj_t os_lstat(mp_obj_t path) {
    struct stat found;
    return stat_row(lstat(mp_obj_str_get_str(path), &found), &found);
}
FUNCTION_1(os_lstat);

static mp_obj_t os_readlink(mp_obj_t path) {
    char target[MICROPY_ALLOC_PATH_MAX];
    ssize_t n = readlink(mp_obj_str_get_str(path), target, sizeof target);
    if (n == sizeof target) { // there may be more of it
        mp_raise_OSError(ENAMETOOLONG);
    }
    checked(n);
    return mp_obj_new_str(target, (size_t)n);
}
FUNCTION_1(os_readlink);

/* A name that is no UTF-8 is none that can be asked for: its bytes become ?, and nothing is found.
 */
static mp_obj_t name_of(char *name) {
    if (!utf8_check((const byte *)name, strlen(name))) {
        for (char *at = name; *at; at++) {
            *at = *at & 0x80 ? '?' : *at;
        }
    }
    return mp_obj_new_str_from_cstr(name);
}

static mp_obj_t os_listdir(mp_obj_t path) {
    DIR *folder = opendir(mp_obj_str_get_str(path));
    checked(folder ? 0 : -1);
    mp_obj_t names = mp_obj_new_list(0, NULL);
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        closedir(folder);
        nlr_jump(nlr.ret_val);
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            mp_obj_list_append(names, name_of(entry->d_name));
        }
    }
    nlr_pop();
    closedir(folder);
    return names;
}
FUNCTION_1(os_listdir);

/* ---- descriptors
 * ----------------------------------------------------------------------------------- */

static mp_obj_t os_pipe(void) {
    int ends[2];
    checked(pipe2(ends, O_CLOEXEC));
    mp_obj_t pair[] = {mp_obj_new_int(ends[0]), mp_obj_new_int(ends[1])};
    return mp_obj_new_tuple(2, pair);
}
FUNCTION_0(os_pipe);

static ssize_t read_some(mp_obj_t fd, void *out, size_t size) {
    ssize_t n;
    do {
        n = read(whole(fd), out, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

static mp_obj_t os_read(mp_obj_t fd, mp_obj_t size) {
    vstr_t bytes;
    vstr_init_len(&bytes, (size_t)mp_obj_get_int(size));
    ssize_t n = read_some(fd, bytes.buf, bytes.len);
    checked(n);
    bytes.len = (size_t)n;
    return mp_obj_new_bytes_from_vstr(&bytes);
}
FUNCTION_2(os_read);

/* How many bytes came; what may be secret lands in no buffer but the caller's. */
static mp_obj_t os_read_into(mp_obj_t fd, mp_obj_t buffer) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(buffer, &bytes, MP_BUFFER_WRITE);
    return checked(read_some(fd, bytes.buf, bytes.len));
}
FUNCTION_2(os_read_into);

static mp_obj_t os_write(mp_obj_t fd, mp_obj_t data) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(data, &bytes, MP_BUFFER_READ);
    ssize_t n;
    do {
        n = write(whole(fd), bytes.buf, bytes.len);
    } while (n < 0 && errno == EINTR);
    return checked(n);
}
FUNCTION_2(os_write);

static mp_obj_t os_close(mp_obj_t fd) {
    return checked(close(whole(fd)));
}
FUNCTION_1(os_close);

static mp_obj_t os_dup2(mp_obj_t from, mp_obj_t to) {
    return checked(dup2(whole(from), whole(to)));
}
FUNCTION_2(os_dup2);

static mp_obj_t os_set_blocking(mp_obj_t fd, mp_obj_t blocking) {
    int flags = fcntl(whole(fd), F_GETFL);
    checked(flags);
    flags = mp_obj_is_true(blocking) ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return checked(fcntl(whole(fd), F_SETFL, flags));
}
FUNCTION_2(os_set_blocking);

static int64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static mp_obj_t os_now_ms(void) {
    return mp_obj_new_int_from_ll(clock_ms());
}
FUNCTION_0(os_now_ms);

static int wait_ready(struct pollfd *rows, nfds_t n, int timeout_ms) {
    int64_t end = clock_ms() + timeout_ms;
    for (;;) {
        int ready = poll(rows, n, timeout_ms);
        if (ready >= 0 || errno != EINTR) {
            return ready;
        }
        if (timeout_ms >= 0) {
            int64_t left = end - clock_ms();
            timeout_ms = left > 0 ? (int)left : 0;
        }
    }
}

/* poll([(fd, events)], timeout in ms, -1: none) -> [(fd, events)] */
static mp_obj_t os_poll(mp_obj_t list, mp_obj_t timeout) {
    size_t n;
    mp_obj_t *item;
    mp_obj_get_array(list, &n, &item);
    struct pollfd *rows = m_new(struct pollfd, n);
    for (size_t i = 0; i < n; i++) {
        mp_obj_t *pair;
        mp_obj_get_array_fixed_n(item[i], 2, &pair);
        rows[i] = (struct pollfd){.fd = whole(pair[0]), .events = (short)whole(pair[1])};
    }
    checked(wait_ready(rows, n, whole(timeout)));
    mp_obj_t ready = mp_obj_new_list(0, NULL);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].revents) {
            mp_obj_t pair[] = {mp_obj_new_int(rows[i].fd), mp_obj_new_int(rows[i].revents)};
            mp_obj_list_append(ready, mp_obj_new_tuple(2, pair));
        }
    }
    m_del(struct pollfd, rows, n);
    return ready;
}
FUNCTION_2(os_poll);

/* ---- sockets: an address is a raw sockaddr, bytes
 * -------------------------------------------------- */

static mp_obj_t os_socket(mp_obj_t family, mp_obj_t type, mp_obj_t protocol) {
    return checked(socket(whole(family), whole(type) | SOCK_CLOEXEC, whole(protocol)));
}
FUNCTION_3(os_socket);

static mp_obj_t os_bind(mp_obj_t fd, mp_obj_t address) {
    mp_buffer_info_t raw;
    mp_get_buffer_raise(address, &raw, MP_BUFFER_READ);
    return checked(bind(whole(fd), raw.buf, (socklen_t)raw.len));
}
FUNCTION_2(os_bind);

static mp_obj_t os_connect(mp_obj_t fd, mp_obj_t address) {
    mp_buffer_info_t raw;
    mp_get_buffer_raise(address, &raw, MP_BUFFER_READ);
    return checked(connect(whole(fd), raw.buf, (socklen_t)raw.len));
}
FUNCTION_2(os_connect);

static mp_obj_t os_listen(mp_obj_t fd, mp_obj_t backlog) {
    return checked(listen(whole(fd), whole(backlog)));
}
FUNCTION_2(os_listen);

/* The new descriptor is non-blocking. */
static mp_obj_t os_accept(mp_obj_t fd) {
    return checked(accept4(whole(fd), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}
FUNCTION_1(os_accept);

/* Connected to each other; a write is one packet, as on a TUN. */
static mp_obj_t os_packet_pair(void) {
    int ends[2];
    checked(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    mp_obj_t pair[] = {mp_obj_new_int(ends[0]), mp_obj_new_int(ends[1])};
    return mp_obj_new_tuple(2, pair);
}
FUNCTION_0(os_packet_pair);

/* An inotify descriptor on one path. */
static mp_obj_t os_watch(mp_obj_t path, mp_obj_t mask) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    checked(fd);
    if (inotify_add_watch(fd, mp_obj_str_get_str(path), (uint32_t)whole(mask)) < 0) {
        int error = errno;
        close(fd);
        mp_raise_OSError(error);
    }
    return mp_obj_new_int(fd);
}
FUNCTION_2(os_watch);

static mp_obj_t endpoint(const struct sockaddr *address) {
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    bool is_v6 = address->sa_family == AF_INET6;
    mp_obj_t row[] = {
        MP_OBJ_NEW_SMALL_INT(is_v6 ? 6 : 4),
        is_v6 ? mp_obj_new_bytes((const byte *)&v6->sin6_addr, 16)
              : mp_obj_new_bytes((const byte *)&v4->sin_addr, 4),
        MP_OBJ_NEW_SMALL_INT(ntohs(is_v6 ? v6->sin6_port : v4->sin_port)),
        mp_obj_new_int_from_uint(is_v6 ? v6->sin6_scope_id : 0),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(row), row);
}

/* Where the question for IPv6 gets no answer, musl says nothing of IPv4's, which is asked for alone
 * then. */
static int ask(const char *host, struct addrinfo **found) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    int error = getaddrinfo(host, NULL, &hints, found);
    if (error != EAI_AGAIN) {
        return error;
    }
    hints.ai_family = AF_INET;
    return getaddrinfo(host, NULL, &hints, found);
}

/* resolve(host, port) -> [(4 or 6, address, port, scope id)]; blocks. OSError(EAI_...). */
static mp_obj_t os_resolve(mp_obj_t host, mp_obj_t port) {
    struct addrinfo *found;
    int error = ask(mp_obj_str_get_str(host), &found);
    if (error != 0) {
        mp_raise_OSError(error);
    }
    mp_obj_t rows = mp_obj_new_list(0, NULL);
    for (struct addrinfo *one = found; one; one = one->ai_next) {
        if (one->ai_family == AF_INET || one->ai_family == AF_INET6) {
            /* IPv6 has it in the same place. */
            ((struct sockaddr_in *)one->ai_addr)->sin_port = htons((uint16_t)whole(port));
            mp_obj_list_append(rows, endpoint(one->ai_addr));
        }
    }
    freeaddrinfo(found);
    return rows;
}
FUNCTION_2(os_resolve);

/* inet_pton(text) -> the 4 or 16 bytes of an address, or None. */
static mp_obj_t os_inet_pton(mp_obj_t text) {
    size_t length;
    const char *address = mp_obj_str_get_data(text, &length);
    bool is_ipv6 = memchr(address, ':', length) != NULL;
    byte bytes[16];
    if (strlen(address) != length || inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, bytes) != 1) {
        return mp_const_none;
    }
    return mp_obj_new_bytes(bytes, is_ipv6 ? 16 : 4);
}
FUNCTION_1(os_inet_pton);

/* The io module, which json needs, brings the builtin `open`: files are descriptors here. */
static mp_obj_t no_open(size_t n, const mp_obj_t *args, mp_map_t *keywords) {
    (void)n;
    (void)args;
    (void)keywords;
    mp_raise_NotImplementedError(MP_ERROR_TEXT("open"));
}
MP_DEFINE_CONST_FUN_OBJ_KW(mp_builtin_open_obj, 0, no_open);

/* ---- the module
 * -------------------------------------------------------------------------------------- */

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__os)},
    {MP_ROM_QSTR(MP_QSTR__exit), MP_ROM_PTR(&os_exit_obj)},
    {MP_ROM_QSTR(MP_QSTR_getpid), MP_ROM_PTR(&os_getpid_obj)},
    {MP_ROM_QSTR(MP_QSTR_getppid), MP_ROM_PTR(&os_getppid_obj)},
    {MP_ROM_QSTR(MP_QSTR_pidfd_open), MP_ROM_PTR(&os_pidfd_open_obj)},
    {MP_ROM_QSTR(MP_QSTR_setsid), MP_ROM_PTR(&os_setsid_obj)},
    {MP_ROM_QSTR(MP_QSTR_fork), MP_ROM_PTR(&os_fork_obj)},
    {MP_ROM_QSTR(MP_QSTR_keep_back), MP_ROM_PTR(&os_keep_back_obj)},
    {MP_ROM_QSTR(MP_QSTR_umask), MP_ROM_PTR(&os_umask_obj)},
    {MP_ROM_QSTR(MP_QSTR_waitpid), MP_ROM_PTR(&os_waitpid_obj)},
    {MP_ROM_QSTR(MP_QSTR_kill), MP_ROM_PTR(&os_kill_obj)},
    {MP_ROM_QSTR(MP_QSTR_getenv), MP_ROM_PTR(&os_getenv_obj)},
    {MP_ROM_QSTR(MP_QSTR_isatty), MP_ROM_PTR(&os_isatty_obj)},
    {MP_ROM_QSTR(MP_QSTR_strerror), MP_ROM_PTR(&os_strerror_obj)},
    {MP_ROM_QSTR(MP_QSTR_signals), MP_ROM_PTR(&os_signals_obj)},
    {MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&os_open_obj)},
    {MP_ROM_QSTR(MP_QSTR_fsync), MP_ROM_PTR(&os_fsync_obj)},
    {MP_ROM_QSTR(MP_QSTR_flock), MP_ROM_PTR(&os_flock_obj)},
    {MP_ROM_QSTR(MP_QSTR_fchmod), MP_ROM_PTR(&os_fchmod_obj)},
    {MP_ROM_QSTR(MP_QSTR_chmod), MP_ROM_PTR(&os_chmod_obj)},
    {MP_ROM_QSTR(MP_QSTR_chown), MP_ROM_PTR(&os_chown_obj)},
    {MP_ROM_QSTR(MP_QSTR_mkdir), MP_ROM_PTR(&os_mkdir_obj)},
    {MP_ROM_QSTR(MP_QSTR_rmdir), MP_ROM_PTR(&os_rmdir_obj)},
    {MP_ROM_QSTR(MP_QSTR_chdir), MP_ROM_PTR(&os_chdir_obj)},
    {MP_ROM_QSTR(MP_QSTR_getcwd), MP_ROM_PTR(&os_getcwd_obj)},
    {MP_ROM_QSTR(MP_QSTR_unlink), MP_ROM_PTR(&os_unlink_obj)},
    {MP_ROM_QSTR(MP_QSTR_rename), MP_ROM_PTR(&os_rename_obj)},
    {MP_ROM_QSTR(MP_QSTR_stat), MP_ROM_PTR(&os_stat_obj)},
    {MP_ROM_QSTR(MP_QSTR_lstat), MP_ROM_PTR(&os_lstat_obj)},
    {MP_ROM_QSTR(MP_QSTR_readlink), MP_ROM_PTR(&os_readlink_obj)},
    {MP_ROM_QSTR(MP_QSTR_listdir), MP_ROM_PTR(&os_listdir_obj)},
    {MP_ROM_QSTR(MP_QSTR_pipe), MP_ROM_PTR(&os_pipe_obj)},
    {MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&os_read_obj)},
    {MP_ROM_QSTR(MP_QSTR_read_into), MP_ROM_PTR(&os_read_into_obj)},
    {MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&os_write_obj)},
    {MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&os_close_obj)},
    {MP_ROM_QSTR(MP_QSTR_dup2), MP_ROM_PTR(&os_dup2_obj)},
    {MP_ROM_QSTR(MP_QSTR_set_blocking), MP_ROM_PTR(&os_set_blocking_obj)},
    {MP_ROM_QSTR(MP_QSTR_now_ms), MP_ROM_PTR(&os_now_ms_obj)},
    {MP_ROM_QSTR(MP_QSTR_poll), MP_ROM_PTR(&os_poll_obj)},
    {MP_ROM_QSTR(MP_QSTR_socket), MP_ROM_PTR(&os_socket_obj)},
    {MP_ROM_QSTR(MP_QSTR_bind), MP_ROM_PTR(&os_bind_obj)},
    {MP_ROM_QSTR(MP_QSTR_connect), MP_ROM_PTR(&os_connect_obj)},
    {MP_ROM_QSTR(MP_QSTR_listen), MP_ROM_PTR(&os_listen_obj)},
    {MP_ROM_QSTR(MP_QSTR_accept), MP_ROM_PTR(&os_accept_obj)},
    {MP_ROM_QSTR(MP_QSTR_packet_pair), MP_ROM_PTR(&os_packet_pair_obj)},
    {MP_ROM_QSTR(MP_QSTR_watch), MP_ROM_PTR(&os_watch_obj)},
    {MP_ROM_QSTR(MP_QSTR_resolve), MP_ROM_PTR(&os_resolve_obj)},
    {MP_ROM_QSTR(MP_QSTR_inet_pton), MP_ROM_PTR(&os_inet_pton_obj)},
    {MP_ROM_QSTR(MP_QSTR_AF_NETLINK), MP_ROM_INT(AF_NETLINK)},
    {MP_ROM_QSTR(MP_QSTR_AF_UNIX), MP_ROM_INT(AF_UNIX)},
    {MP_ROM_QSTR(MP_QSTR_AF_INET), MP_ROM_INT(AF_INET)},
    {MP_ROM_QSTR(MP_QSTR_AF_INET6), MP_ROM_INT(AF_INET6)},
    {MP_ROM_QSTR(MP_QSTR_SOCK_STREAM), MP_ROM_INT(SOCK_STREAM)},
    {MP_ROM_QSTR(MP_QSTR_SOCK_DGRAM), MP_ROM_INT(SOCK_DGRAM)},
    {MP_ROM_QSTR(MP_QSTR_SOCK_RAW), MP_ROM_INT(SOCK_RAW)},
    {MP_ROM_QSTR(MP_QSTR_SOCK_NONBLOCK), MP_ROM_INT(SOCK_NONBLOCK)},
    {MP_ROM_QSTR(MP_QSTR_O_RDONLY), MP_ROM_INT(O_RDONLY)},
    {MP_ROM_QSTR(MP_QSTR_O_RDWR), MP_ROM_INT(O_RDWR)},
    {MP_ROM_QSTR(MP_QSTR_O_WRONLY), MP_ROM_INT(O_WRONLY)},
    {MP_ROM_QSTR(MP_QSTR_O_CREAT), MP_ROM_INT(O_CREAT)},
    {MP_ROM_QSTR(MP_QSTR_O_EXCL), MP_ROM_INT(O_EXCL)},
    {MP_ROM_QSTR(MP_QSTR_O_TRUNC), MP_ROM_INT(O_TRUNC)},
    {MP_ROM_QSTR(MP_QSTR_O_DIRECTORY), MP_ROM_INT(O_DIRECTORY)},
    {MP_ROM_QSTR(MP_QSTR_O_PATH), MP_ROM_INT(O_PATH)},
    {MP_ROM_QSTR(MP_QSTR_POLLIN), MP_ROM_INT(POLLIN)},
    {MP_ROM_QSTR(MP_QSTR_POLLOUT), MP_ROM_INT(POLLOUT)},
    {MP_ROM_QSTR(MP_QSTR_POLLERR), MP_ROM_INT(POLLERR)},
    {MP_ROM_QSTR(MP_QSTR_POLLHUP), MP_ROM_INT(POLLHUP)},
    {MP_ROM_QSTR(MP_QSTR_IN_ATTRIB), MP_ROM_INT(IN_ATTRIB)},
    {MP_ROM_QSTR(MP_QSTR_IN_DELETE_SELF), MP_ROM_INT(IN_DELETE_SELF)},
    {MP_ROM_QSTR(MP_QSTR_IN_MOVE_SELF), MP_ROM_INT(IN_MOVE_SELF)},
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t mp_module__os = {{&mp_type_module}, (mp_obj_dict_t *)&globals};
MP_REGISTER_MODULE(MP_QSTR__os, mp_module__os);
