# SPDX-License-Identifier: MIT
"""The options of files for LuCI's form: tunlite/options.js is written from the option table.

A kind of value becomes a pattern and bounds for the browser, which refuses nothing that the file's
parser takes; what they cannot say is asked of the plugin's `check`. tests/openwrt/luci_cases.txt is
run against both.

    python -m devtools.luci_options
"""

import json
from pathlib import Path

from tunlite.config import options, values

PAGE = (
    Path(__file__).resolve().parents[1]
    / "openwrt/luci-proto-tunlite/htdocs/luci-static/resources/tunlite/options.js"
)
_HEAD = """\
// SPDX-License-Identifier: MIT
// Written by `python -m devtools.luci_options` from tunlite/config/options.py; edit that.
'use strict';
'require baseclass';

return baseclass.extend("""

_BYTE = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
_V4 = f"{_BYTE}(\\.{_BYTE}){{3}}"
_V6 = "(?=[^/]*:[^/]*:)[0-9a-fA-F:]{2,39}(:\\d{1,3}(\\.\\d{1,3}){3})?"
_ADDRESS = f"({_V4}|{_V6})"
_PREFIX = f"({_V4}(/\\d+)?|{_V6}(/\\d+)?)"
_UNSIGNED = "(0[xX][0-9a-fA-F]+|[0-9]+)"
_WORD = "[A-Za-z0-9._-]{1,23}"
_KEY = "[A-Za-z0-9+/]{43}="
_BLANKS = "[ \\t,]+"

# kind -> what a value matches as a whole, or each of its pieces; `words` are taken in any case of
# letters, before the pattern; bounds are those of the number. Of bare
# kinds, wg's, all blanks are left out first.
KINDS = {
    "secret": {"pattern": _KEY, "say": "a key: 44 characters of base64"},
    "public": {"pattern": _KEY, "say": "a public key: 44 characters of base64"},
    "port": {"pattern": "\\d+|[A-Za-z_][A-Za-z0-9_-]*", "least": 0, "most": 65535,
             "say": "a port, 0 to 65535"},
    "mark": {"words": ["off"], "pattern": _UNSIGNED, "least": 0, "most": 0xFFFFFFFF,
             "say": "a number up to 0xffffffff, or off"},
    "prefixes": {"pieces": _BLANKS, "pattern": f"({_PREFIX}|{_V4}/{_V4})",
                 "say": "addresses as 10.0.0.1/24 or fd00::1/64"},
    "allowed": {"pieces": _BLANKS, "pattern": _PREFIX,
                "say": "prefixes as 10.0.0.0/24 or fd00::/64"},
    "dns": {"pieces": _BLANKS, "pattern": "[^\\s,]+", "say": "addresses and search domains"},
    "mtu": {"words": ["", "auto"], "pattern": _UNSIGNED, "least": 68, "most": 65535, "octal": True,
            "say": "bytes, 68 to 65535, or auto"},
    "path_mtu": {"words": ["auto"], "pattern": "\\d+", "least": 576, "most": 65535,
                 "say": "bytes, 576 to 65535, or auto"},
    "table": {"pattern": "\\S*", "say": "auto, off or a table's number"},
    "hook": {"pattern": "[^\\n\\r]*", "say": "one line"},
    "folder": {"pattern": "/[^\\n\\r]*", "say": "a path that begins with /"},
    "socket": {"pattern": "/[^\\n\\r]{0,106}", "say": "a path from / on, 107 bytes at most"},
    "count": {"words": ["off"], "pattern": "\\d+", "least": 1, "most": 65000,
              "say": "a number, 1 to 65000, or off"},
    "lifetime": {"words": ["off"], "pattern": "\\d+", "least": 1, "most": values.LIFETIME_MOST,
                 "say": "seconds, or off"},
    "keepalive": {"words": ["off"], "pattern": "\\d+", "least": 0, "most": 65535,
                  "say": "seconds, 25 for instance, or off"},
    "modes": {"pieces": _BLANKS, "words": ["on", "authentic", "off"],
              "say": "on, authentic or off, the one to ask for first"},
    "bool": {"words": ["true", "false"], "say": "true or false"},
    "switch": {"words": ["on", "off"], "say": "on or off"},
    "engine": {"pattern": _WORD, "say": "one word"},
    "aead": {"pattern": _WORD, "say": "one word"},
    "word": {"pattern": _WORD, "say": "one word of at most 23 letters"},
    "name": {"pattern": "[A-Za-z0-9._-]{1,32}", "say": "1 to 32 letters, digits, - _ or ."},
    "features": {"pieces": _BLANKS, "pattern": _WORD, "say": "names of offloads, off or auto"},
    "batch": {"words": ["auto"], "pattern": "\\d+", "least": 1, "most": 256,
              "say": "1 to 256, or auto"},
    "workers": {"words": ["auto"], "pattern": "\\d+", "least": 1, "most": 8,
                "say": "1 to 8, or auto"},
    "memory": {"words": ["auto"], "pattern": "\\d{1,10}[KMkm]?", "least": 262144, "most": 1 << 30,
               "unit": 1024, "say": "256K to 1024M, or auto"},
    "slots": {"pieces": _BLANKS, "words": ["auto"], "pattern": "\\d+", "least": 1, "most": 64,
              "say": "1 to 64, or auto"},
    "rekey": {"pattern": "\\d+", "least": 5, "most": 120, "say": "seconds, 5 to 120"},
    "layer": {"pattern": "\\d+", "least": 2, "most": 3, "say": "3 or 2"},
    "encapsulation": {"words": ["none", "vxlan"], "say": "vxlan"},
    "vni": {"pattern": "[0-9a-fA-F]{64}|\\d+", "least": 0, "most": (1 << 24) - 1,
            "say": "a number up to 16777215, or a domain_seed of 64 hex digits"},
    "dialect": {"words": ["gluon", "munich", "plain"], "say": "gluon, munich or plain"},
    "vxlan_port": {"words": ["auto"], "pattern": "\\d+", "least": 1, "most": 65535,
                   "say": "a port, or auto"},
    "address": {"pattern": _ADDRESS, "say": "an address, fd00::1 for instance"},
    "rate": {"words": ["off"], "pattern": "\\d{1,13}[KMGkmg]?", "least": 1000,
             "most": 1000000000000, "unit": 1000, "say": "bits a second, 1K to 1000G, or off"},
    "limit": {"pattern": "\\d+", "least": 1, "most": 65000, "say": "a number, 1 for instance"},
    "choose": {"words": ["order", "random", "nearest"], "say": "order, random or nearest"},
    "seconds": {"pattern": "\\d+", "least": 1, "most": 600, "say": "seconds, 1 to 600"},
    "endpoint": {"pattern": "[^\\s]+( *, *[^\\s]+)*", "say": "host:port, commas between several"},
    "text": {"pattern": "[^\\0-\\x1f\\x7f-\\x9f]{0,128}", "say": "one line of at most 128 letters"},
    "macs": {"pieces": _BLANKS, "pattern": "[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}",
             "say": "addresses as 02:00:5e:10:00:01"},
}  # fmt: skip


def table():
    """What the page has: rows of options, and kinds of values."""
    rows = [
        {
            "section": row[options.SECTION],
            "name": row[options.NAME],
            "uci": row[options.UCI],
            "kind": row[options.KIND],
            "bare": row[options.WHOSE] == "wg",
            "default": row[options.DEFAULT],
            "start": row[options.WHEN] == "start",
            "list": row[options.KIND] in values.LISTS,
            "help": row[options.HELP],
        }
        for row in options.rows()
    ]
    bare = {row["kind"] for row in rows if row["bare"]}
    kinds = {name: {**kind, "bare": name in bare} for name, kind in KINDS.items()}
    return {"rows": rows, "kinds": kinds}


def page():
    """The text of options.js: a line for each row."""
    found = table()
    rows = ",\n".join("\t\t" + json.dumps(row) for row in found["rows"])
    kinds = ",\n".join(f"\t\t{name}: {json.dumps(kind)}" for name, kind in found["kinds"].items())
    return f"{_HEAD}{{\n\trows: [\n{rows}\n\t],\n\tkinds: {{\n{kinds}\n\t}}\n}});\n"


def main():
    """Writes it."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
