# SPDX-License-Identifier: MIT
"""`python3 cpp_each.py zig cc ... -E FLAGS FILES`: preprocesses one file after the other.

MicroPython's build gives its preprocessor many files at once, or one on standard input;
`zig cc -E` finds libc's headers only when it is given one file.
"""

import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    """Standard output gets what the compiler printed for each file, in order."""
    arguments = sys.argv[1:]
    files = [word for word in arguments if word.endswith(".c")]
    command = [word for word in arguments if not word.endswith(".c") and word != "-"]
    with tempfile.TemporaryDirectory() as folder:
        if "-" in arguments:
            copy = Path(folder) / "stdin.c"
            copy.write_bytes(sys.stdin.buffer.read())
            files.append(str(copy))
        for file in files:
            status = subprocess.run([*command, file]).returncode
            if status:
                sys.exit(status)


if __name__ == "__main__":
    main()
