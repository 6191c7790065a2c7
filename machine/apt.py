# SPDX-License-Identifier: MIT
"""Debian packages that the tools and tests need. Standard library only: ./dev runs this first.

As root they are installed; otherwise the message says what is missing and the command that helps.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

_LISTS = Path("/var/lib/apt/lists")
_TABLE = Path(__file__).with_name("apt.txt")
_STALE_S = 24 * 3600


class AptError(SystemExit):
    """Something is missing that cannot be installed from here; ends a command with the message."""


def _installed(packages):
    """The subset of `packages` that dpkg has configured."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]
    try:
        result = subprocess.run(query, capture_output=True, text=True)
    except OSError:
        return set(packages)  # not a Debian: whoever runs this sees to the programs
    rows = [line.split() for line in result.stdout.splitlines()]
    return {row[0] for row in rows if row[1:] == ["installed"]}


def _lists_are_stale():
    """Whether apt has no package lists, or ones too old to find today's files on the mirror."""
    stamps = [p.stat().st_mtime for p in _LISTS.glob("*_Packages*")]
    return not stamps or time.time() - max(stamps) > _STALE_S


def _apt_get(*arguments):
    """Runs apt-get without questions; its exit status and combined output."""
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    result = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return result.returncode, result.stdout


def _may_install():
    """Root outside a user namespace, on a system with apt."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split() == [
        "0",
        "0",
        "4294967295",
    ]


def need(packages):
    """Sees to it that these Debian packages are installed; AptError says what is missing."""
    missing = sorted(set(packages) - _installed(packages))
    if not missing:
        return
    command = "apt-get install --no-install-recommends -y " + " ".join(missing)
    if not _may_install():
        raise AptError(
            f"Missing Debian packages: {' '.join(missing)}\n"
            f"Install them with:  sudo apt-get update && sudo {command}"
        )
    print(f"installing {' '.join(missing)} ...", file=sys.stderr, flush=True)
    updated = _lists_are_stale()
    if updated:
        _apt_get("update")
    status, output = _apt_get(*command.split()[1:])
    if status and not updated:
        _apt_get("update")
        status, output = _apt_get(*command.split()[1:])
    if status:
        raise AptError(f"{output}\n{command}: failed")


def providers(programs):
    """Of {program: Debian package}, the packages whose program is not on the PATH from anywhere."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return [
        package for program, package in programs.items() if not shutil.which(program, path=path)
    ]


def packages_for(suites):
    """The packages that apt.txt names for any of these suites."""
    found = set()
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            package, users, _ = line.split(maxsplit=2)
            if set(users.split(",")) & set(suites):
                found.add(package)
    return sorted(found)
