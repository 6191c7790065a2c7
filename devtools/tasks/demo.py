# SPDX-License-Identifier: MIT
"""The demo as a task."""

import os
import sys

from invoke import task

from devtools.tasks.build import build
from machine import apt, rootless


@task(
    pre=[build],
    help={
        "json": "print one JSON object instead of the table",
        "megabytes": "how much to send over TCP (default 300)",
    },
)
def demo(c, json=False, megabytes=300):
    """Two tunlite daemons in two namespaces: handshake, ping, a TCP transfer, figures."""
    apt.need(apt.packages_for(["demo"]))
    argv = [sys.executable, "-m", "devtools.demo", "--megabytes", str(megabytes)]
    argv = rootless.wrap(argv + (["--json"] if json else []))
    os.execvp(argv[0], argv)  # so that Ctrl-C reaches the demo alone, which cleans up
