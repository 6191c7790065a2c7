# SPDX-License-Identifier: MIT
"""docs/config.md, made from the table in tunlite/config.py.

python -m devtools.config_docs      writes it; a unit test fails while it is not current
"""

from pathlib import Path

from tunlite import config

PATH = Path(__file__).resolve().parent.parent / "docs" / "config.md"

_HEAD = """\
# Configuration files

Made from the table in `tunlite/config.py` by `python -m devtools.config_docs`; edit that.

The files are WireGuard's: what `wg` and `wg-quick` accept is accepted here, with the same meaning.
Names of sections and options have no case, `#` begins a comment, and lists may be split over
several lines of the same option. An option that is not a list may stand once in its section.
`tunlite check FILE` prints every error (of a file that is nothing but errors the first hundred)
with its line and what to do, and exits with 1.

A file that holds a private or preshared key must not be open to others: `chmod 600 FILE`, or 640
for a group that may read it. Names given to `tunlite up` are looked for in `/etc/tunlite`, then in
`/etc/wireguard`.

The last column says where an option comes from: `wg` and `wg-quick` know theirs too, those of
`tunlite` are its own and have to go before the file is given to another WireGuard.
"""


def render() -> str:
    parts = [_HEAD]
    for section in ("Interface", "Peer"):
        parts.append(
            f"\n## [{section}]\n\n| option | meaning | default | of |\n|---|---|---|---|\n"
        )
        for where, name, whose, _, default, text in config.KEYS:
            if where == section:
                parts.append(f"| `{name}` | {text} | {default} | {whose} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(render())
