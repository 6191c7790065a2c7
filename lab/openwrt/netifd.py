# SPDX-License-Identifier: MIT
"""The stand-in for netifd, running in a namespace: what it did, and calls of it by ubus."""

import json
import os
import signal

from lab.netns import WaitError, wait_for
from lab.openwrt.router import Router


class Netifd:
    """`router.write(...)` first; then start()."""

    def __init__(self, router: Router):
        self.router = router
        self.folder = router.root / "var/run/netifd"
        self.process = None

    def start(self):
        """Runs it and waits until it has read its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        seen = len(self.log())
        self.process = self.router.namespace.start(
            [self.router.root / "sbin/netifd"], "netifd", env=self.router.environment
        )
        wait_for(lambda: "ready" in self.log()[seen:], 10, "netifd reads its configuration")
        return self

    def kill(self):
        """As a crash would: nobody is told."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log(self):
        """What happened, lines of text."""
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def happened(self, line):
        """How often a line is in the log."""
        return self.log().count(line)

    def wait(self, line, count=1, timeout=20):
        """Waits until a line is there that often."""
        try:
            wait_for(lambda: self.happened(line) >= count, timeout, f"{count} {line!r}")
        except WaitError as e:
            raise WaitError(f"{e} in {self.log()}: {self.said()}") from None

    def said(self):
        """What handlers and their tasks printed."""
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))

    def get(self, interface, name):
        """What the stand-in knows of an interface; "" for nothing."""
        path = self.folder / "if" / interface / name
        return path.read_text().strip() if path.exists() else ""

    def call(self, interface, method):
        """`ubus call network.interface.INTERFACE METHOD`; what it printed."""
        words = ["call", f"network.interface.{interface}", method]
        return self.router.run([self.router.root / "sbin/ubus", *words]).stdout

    def network(self, method):
        """`ubus call network METHOD`."""
        self.router.run([self.router.root / "sbin/ubus", "call", "network", method])

    def status(self, interface):
        """What ifstatus tells."""
        return json.loads(self.call(interface, "status"))
