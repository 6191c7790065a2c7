# SPDX-License-Identifier: MIT
"""How many system calls processes make: counted by the kernel's tracepoint, or by strace.

Either disturbs what it watches, so a run that is counted is timed by nobody.
"""

import re
import shutil
import tempfile
from pathlib import Path

_EVENT = "raw_syscalls:sys_enter"
_STRACE_TOTAL = re.compile(r"^\s*100\.00\s+(.*)\stotal$", re.MULTILINE)


def perf_count(text):
    """The count in what `perf stat -x,` wrote; None: it could not count."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith(_EVENT) and fields[0].isdigit():
            return int(fields[0])
    return None


def strace_count(text):
    """The number of calls in the last line of `strace -c`."""
    total = _STRACE_TOTAL.search(text)
    return int(total[1].split()[2]) if total else 0


def way(namespace):
    """How calls can be counted here: "perf", "strace", or None."""
    if shutil.which("perf"):
        argv = ["perf", "stat", "-x,", "-e", _EVENT, "true"]
        done = namespace.run(argv, check=False)
        if done.returncode == 0 and perf_count(done.stderr):
            return "perf"
    return "strace" if shutil.which("strace") else None


def _pids(daemons):
    return ",".join(map(str, daemons))


def _by_perf(link, run, folder):
    """perf counts as long as the program runs that it starts, so one starts the other."""
    files, wrap = {}, []
    for side, daemons in link.daemons.items():
        files[side] = folder / side
        wrap += ["perf", "stat", "-x,", "-e", _EVENT, "-p", _pids(daemons), "-o", files[side], "--"]
    result = run(wrap)
    counts = {side: perf_count(path.read_text(encoding="ascii")) for side, path in files.items()}
    return result, counts


def _by_strace(link, run, folder):
    watchers = {}
    for side, daemons in link.daemons.items():
        argv = ["strace", "-c", "-f", "-o", folder / side]
        for pid in daemons:
            argv += ["-p", pid]
        watchers[side] = link.source.start(argv, f"strace-{folder.name}-{side}")
        watchers[side].wait_line("attached")
    result = run([])
    counts = {}
    for side, watcher in watchers.items():
        watcher.stop(2)
        counts[side] = strace_count((folder / side).read_text(encoding="ascii"))
    return result, counts


def counted(link, run, how):
    """(what run(wrap) gives, {side: calls}); `wrap` are words to put before its command."""
    with tempfile.TemporaryDirectory(prefix="tunlite-calls-") as folder:
        by = _by_perf if how == "perf" else _by_strace
        return by(link, run, Path(folder))
