# SPDX-License-Identifier: MIT
"""The program."""

import sys


def main():
    from tunlite.cli import words

    return words.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
