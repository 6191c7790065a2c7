# SPDX-License-Identifier: MIT
"""The extension module tunlite._native: the border header as cffi sees it, and what is compiled.

setup.py asks for `ffibuilder`; machine/native_build.py builds the same thing quicker.
"""

import glob
import os
import re

from cffi import FFI

MODULE = "tunlite._native"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CFLAGS = [
    *("-O3", "-std=gnu11", "-pthread", "-fvisibility=hidden"),
    *("-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"),
]
LIBRARIES = ["dl"]


def border_cdef(header):
    """The text of a border header as ffi.cdef() takes it: comments and the include guard removed.

    ValueError when another preprocessor line is left: the border has no includes and no macros.
    """
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    lines = []
    for line in text.splitlines():
        if re.match(r"\s*#\s*(ifndef|define|endif)\b(\s+\w+_H\b|\s*$)", line):
            continue
        if line.lstrip().startswith("#"):
            raise ValueError("the border header may hold no preprocessor line: " + line.strip())
        lines.append(line)
    return "\n".join(lines)


def sources():
    """Paths of every C file of the core, relative to the root."""
    return sorted(glob.glob("native/**/*.c", root_dir=ROOT, recursive=True))


def make_ffi(source_files):
    """An FFI of the border, set to be compiled with these C files."""
    ffi = FFI()
    with open(os.path.join(ROOT, "native/include/tunlite.h"), encoding="utf-8") as header:
        ffi.cdef(border_cdef(header.read()))
    ffi.set_source(
        MODULE,
        "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <tunlite.h>\n",
        sources=source_files,
        include_dirs=["native/include", "native"],
        extra_compile_args=CFLAGS,
        libraries=LIBRARIES,
    )
    return ffi


def ffibuilder():
    """For setuptools' cffi_modules."""
    return make_ffi(sources())
