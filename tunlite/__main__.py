# SPDX-License-Identifier: MIT
"""The program."""

import sys


def main():
    from tunlite import cli

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
