# SPDX-License-Identifier: MIT
"""What /proc tells of a process."""

import os
from pathlib import Path


def cpu_seconds(pid):
    """User and system time so far."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(path, name):
    """The first word of a row of a file such as /proc/PID/status."""
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))
