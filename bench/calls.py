# SPDX-License-Identifier: MIT
"""The files that a packet passes: those of native/ whose functions are called while a batch goes
out, or in. Functions in headers do not count, and all of crypto/ is one."""

import subprocess

from bench import builds

WAYS = ("turn_out", "turn_in")  # of turn/turn.c
_BELOW = "native/"


def _places(program, addresses):
    """address -> (function, file below native/)."""
    argv = ["addr2line", "-f", "-e", program, *addresses]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    files = [line.rsplit(_BELOW, 1)[-1].split(":")[0] for line in lines[1::2]]
    files = ["crypto" if file.startswith("crypto/") else file for file in files]
    return dict(zip(addresses, zip(lines[::2], files, strict=True), strict=True))


def _passed(lines, places, way):
    """For each turn the files under `way`, in the order of their first call."""
    turns, stack = [], []
    for line in lines:
        if line == "<":
            stack.pop()
            continue
        function, file = places[line[2:]]
        stack.append(function)
        if function == way:
            turns.append([])
        if way in stack and file not in turns[-1]:
            turns[-1].append(file)
    return turns


def passed():
    """{way: the files of the turn that passes the most}, for packets of 64 bytes."""
    program = builds.pipeline_that_tells_calls()
    done = subprocess.run([program, "portable", "64", "1"], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    addresses = sorted({line[2:] for line in lines if line != "<"})
    places = _places(program, addresses)
    return {way: max(_passed(lines, places, way), key=len) for way in WAYS}


def main():
    for way, files in passed().items():
        print(f"{way}: {len(files)} files: {', '.join(files)}")
