# SPDX-License-Identifier: MIT
"""docs/config.md, made from the table in tunlite/config/options.py.

python -m devtools.config_docs      writes it; a unit test fails while it is not current
"""

from pathlib import Path

from tunlite.config import options

PATH = Path(__file__).resolve().parent.parent / "docs" / "config.md"

_HEAD = """\
# Configuration files

Made from the table in `tunlite/config/options.py` by `python -m devtools.config_docs`; edit that.

The files are WireGuard's: what `wg` and `wg-quick` accept is accepted here, with the same meaning.
Names of sections and options have no case, `#` begins a comment, and lists may be split over
several lines of the same option. Of an option that is not a list the last one counts; sections of
one peer are one peer, whose later options win and whose `AllowedIPs` are the last section's. Blanks
in a value of `wg`'s are left out; `wg-quick`'s options may be empty, which is as if they were not
there. A port may be a name of `/etc/services`, a table one of `/etc/iproute2/rt_tables`.

`tunlite check FILE` prints every error (of a file that is nothing but errors the first hundred)
with its line and what to do, and exits with 1. It warns of what `wg` and `wg-quick` take and is
odd, with exit status 0; so do the commands that use the file. Ports above 65535, which `wg` cuts
to 16 bits, and port 0 of an endpoint are errors here.

A file that holds a private or preshared key must not be open to others: `chmod 600 FILE`, or 640
for a group that may read it. With `--allow-readable` one that everyone may read is taken, with a
warning, where its mount is read-only (a ConfigMap of Kubernetes, say). Names given to `tunlite up`
are looked for in `/etc/tunlite`, then in `/etc/wireguard`.

The last column says where an option comes from: `wg` and `wg-quick` know theirs too, those of
`tunlite` are its own and have to go before the file is given to another WireGuard.
"""


def render() -> str:
    parts = [_HEAD]
    for section in options.SECTIONS:
        parts.append(
            f"\n## [{section}]\n\n| option | meaning | default | of |\n|---|---|---|---|\n"
        )
        for where, name, whose, _, default, _, _, _, text in options.rows():
            if where == section:
                parts.append(f"| `{name}` | {text} | {default} | {whose} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(render())
