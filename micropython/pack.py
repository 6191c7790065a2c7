# SPDX-License-Identifier: MIT
"""`python3 pack.py FROZEN_CONTENT QSTRDEFS OUT`: the frozen code as C again, in a smaller form.

MicroPython's tools write a pointer and a length for each name, and a hash into each longer text.
Here all names are one text with a zero behind each, which names.h takes apart at the start, and
hashes are 0, for "not known". MicroPython writes the hash of a text that becomes an exception's
into it: texts are not constants.
"""

import re
import sys
from pathlib import Path

# From the lengths of the frozen names to the end of their pool; group 1 are the names.
_POOL = re.compile(
    r"^const qstr_len_t mp_qstr_frozen_const_lengths\[\] = \{\n"
    r".*^const qstr_pool_t mp_qstr_frozen_const_pool = \{\n.*?^    \{\n(.*?)^    \},\n\};\n",
    re.DOTALL | re.MULTILINE,
)
_TEXT = re.compile(r'^ *("(?:[^"\\]|\\.)*"),$', re.MULTILINE)
_KNOWN = re.compile(r'^QDEF([01])\(\w+, \d+, \d+, ("(?:[^"\\]|\\.)*")\)$', re.MULTILINE)
_HASH = re.compile(r"^static const (mp_obj_str_t \w+ = \{\{&mp_type_\w+\}, )\d+,", re.MULTILINE)


def packed(frozen, names):
    """The new file from the texts of the two that MicroPython's tools write."""
    pool = _POOL.search(frozen)
    known = _KNOWN.findall(names)
    ours = _TEXT.findall(pool[1])
    texts = [text for kind, text in sorted(known, key=lambda row: row[0])] + ours
    # names.h finds the ends by the zeros, and takes an empty name for a single zero.
    if any("\\x00" in text and text != '"\\x00"' for text in texts):
        raise ValueError("a name with a zero in it cannot be packed")
    code = _HASH.sub(r"static \g<1>0,", frozen[: pool.start()] + frozen[pool.end() :])
    lines = "".join(f'    {text} "\\x00"\n' for text in texts)
    return (
        f"{code}\n#define FROZEN_NAMES {len(ours)}\n"
        f'static const char packed_names[] =\n{lines};\n#include "names.h"\n'
    )


def main(arguments):
    """pack.py FROZEN_CONTENT QSTRDEFS OUT."""
    frozen, names, out = map(Path, arguments)
    out.write_text(packed(frozen.read_text(), names.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
