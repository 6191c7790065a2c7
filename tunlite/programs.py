# SPDX-License-Identifier: MIT
"""Other programs: started by the border's posix_spawn, ended as pidfds."""

from tunlite.system import port

_EAGAIN = 11
_SIGKILL = 9
_SIGTERM = 15
_KILL_MS = 50


def _packed(words):
    return b"".join([word.encode() + b"\0" for word in words])


def start(argv, stdin_fd=-1, stdout_fd=-1, fd3=-1, environment=None):
    """A pidfd of the program argv (list of str); -1 is /dev/null, as descriptor 3 none. Who gets
    our stdin gets our terminal too. `environment`: list of "NAME=value" in place of ours. OSError.
    """
    words = _packed(argv)
    said = None if environment is None else _packed(environment)
    size = 0 if said is None else len(said)
    pidfd = port.native.tl_spawn(words, len(words), said, size, stdin_fd, stdout_fd, fd3)
    if pidfd < 0:
        raise OSError(-pidfd, "cannot start " + argv[0])
    return pidfd


def reap(pidfd):
    """Its exit status, 256 + signal, or None while it runs; closes the pidfd when it has ended."""
    status = port.native.tl_reap(pidfd)
    if status == -_EAGAIN:
        return None
    if status < 0:
        raise OSError(-status, "cannot wait for a child")
    return status


def kill(pidfd, signal):
    port.native.tl_kill(pidfd, signal)


def signal_group(pidfd, signal):
    """To the child and all that it started, as far as it stayed in the child's process group."""
    for line in bytes(port.read_file(f"/proc/self/fdinfo/{pidfd}")).split(b"\n"):
        pid = int(line.split()[1]) if line.startswith(b"Pid:") else 0
        if pid > 0:  # -1: somebody has collected it
            try:
                port.kill(-pid, signal)
            except OSError:
                pass  # it has ended, or has not come as far as to lead one
    kill(pidfd, signal)


def end_group(pidfd):
    """Ends a child that runs, kindly and then not, with all that it started."""
    signal_group(pidfd, _SIGTERM)
    port.poll([(pidfd, port.POLLIN)], _KILL_MS)
    signal_group(pidfd, _SIGKILL)


def write_all(fd, data):
    """To a program's pipe."""
    try:
        view = memoryview(data)
        while view:
            view = view[port.os_write(fd, view) :]
    except OSError:
        pass  # it ended without reading all; its status says what it thinks of that


def _wait(pidfd):
    port.poll([(pidfd, port.POLLIN)], -1)


def run(argv, data=b"", stdout_fd=1, wait=_wait, by_fd3=False):
    """Runs a program to its end with `data` on its stdin; its exit status, 256 + signal.

    With `by_fd3` that is on its descriptor 3, and its stdin is ours. Nothing may be longer than a
    pipe holds (64 KiB), or both would wait for each other. wait(pidfd) comes back when it has
    ended, or was made to.
    """
    readable, writable = port.pipe()
    try:
        if by_fd3:
            pidfd = start(argv, 0, stdout_fd, readable)
        else:
            pidfd = start(argv, readable, stdout_fd)
    finally:
        port.close(readable)
    try:
        write_all(writable, data)
    finally:
        port.close(writable)
    while True:
        wait(pidfd)
        status = reap(pidfd)
        if status is not None:
            return status


def close_others(ours):
    """Whoever started us may wait for the end of a pipe or a lock that would live as long as we."""
    try:
        found = port.listdir("/proc/self/fd")
    except OSError:
        return  # there is no /proc
    for text in found:
        fd = int(text)
        if fd > 2 and fd not in ours:
            try:
                port.close(fd)
            except OSError:
                pass  # it listed them


def describe(status):
    """How it ended, for a message."""
    if status > 255:
        return f"was killed by signal {status - 256}"
    return f"failed with status {status}"


def find(program):
    """The path of a program, or None; as a shell looks for it."""
    for folder in (port.environ_get("PATH") or "/usr/sbin:/usr/bin:/sbin:/bin").split(":"):
        path = folder + "/" + program
        try:
            if port.stat(path)[0] & 0o111:
                return path
        except OSError:
            pass
    return None
