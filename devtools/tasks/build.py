# SPDX-License-Identifier: MIT
"""The native build as a task."""

import sys

from invoke import task

from machine import native_build


@task
def build(c):
    """Compile what changed of the C core and link tunlite/_native (warnings are errors)."""
    try:
        native_build.build()
    except native_build.BuildError as e:
        sys.exit(str(e))
