# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the C extension is made by cffi from the border header.

TUNLITE_NATIVE=0 leaves it out: machine/native_build.py builds it object by object.
"""

import os

from setuptools import setup

native = os.environ.get("TUNLITE_NATIVE", "1") != "0"
setup(cffi_modules=["native/build_ffi.py:ffibuilder"] if native else [])
