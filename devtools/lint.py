# SPDX-License-Identifier: MIT
"""Which linter looks at which files: for `./dev lint`, and for the test that runs the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_RUFF = [sys.executable, "-m", "ruff"]


def tracked(*patterns):
    """Files that git knows or would add, matching any of these patterns, relative to the root."""
    argv = ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *patterns]
    output = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in output.split("\0") if name and (ROOT / name).is_file()})


def c_files():
    """C sources and headers."""
    return tracked("*.c", "*.h")


def shell_scripts():
    """Files whose first line names a shell, whatever they are called."""
    found = []
    for name in tracked():
        with open(ROOT / name, "rb") as handle:
            first = handle.readline(80)
        if first.startswith(b"#!") and first.split(b"#!")[1].split()[-1].endswith(
            (b"sh", b"rc.common")
        ):
            found.append(name)
    return found


def checks():
    """{name: command} of every linter; each prints what is wrong and exits non-zero."""
    return {
        "ruff check": [*_RUFF, "check", "--quiet", "."],
        "ruff format": [*_RUFF, "format", "--diff", "--quiet", "."],
        "clang-format": ["clang-format", "--dry-run", "-Werror", *c_files()],
        # SC1091: what a script sources is on the router it runs on
        "shellcheck": ["shellcheck", "-e", "SC1091", *shell_scripts()],
    }


def fixes():
    """The commands that mend what a program can mend."""
    return [
        [*_RUFF, "check", "--fix", "--quiet", "."],
        [*_RUFF, "format", "--quiet", "."],
        ["clang-format", "-i", *c_files()],
    ]


def run(argv):
    """Runs one command in the root; the CompletedProcess with its output as text."""
    return subprocess.run(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
