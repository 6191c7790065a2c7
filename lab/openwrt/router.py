# SPDX-License-Identifier: MIT
"""A folder with a router's root: the stand-ins, what our package installs, /etc/config.

Paths in the scripts lead into that folder, but for /var/run/tunlite and what the kernel shows.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_STANDINS = Path(__file__).parent / "root"
_FILES = _ROOT / "openwrt/tunlite/files"
# Where the package puts them, as devtools/openwrt/rows.py has it too.
_OURS = {
    "etc/hotplug.d/iface/60-tunlite": "tunlite.hotplug",
    "etc/init.d/tunlite": "tunlite.init",
    "lib/netifd/proto/tunlite.sh": "tunlite.sh",
    "lib/tunlite/uci.sh": "uci.sh",
}
_MOVED = re.compile(
    r"(?<![\w$}{./])/((?:lib|sbin|usr|etc)(?=[/\n])|(?:tmp/\.uci|var/run/netifd|etc/config)\b)"
)
SHELL = ["busybox", "ash"]


def uci_text(sections):
    """/etc/config's text of [(type, name or None, {option: value, or list of values})]."""
    lines = []
    for kind, name, options in sections:
        lines.append(f"config {kind}" + (f" '{name}'" if name else ""))
        for option, value in options.items():
            word = "list" if isinstance(value, list) else "option"
            for item in value if isinstance(value, list) else [value]:
                lines.append(f"\t{word} {option} '" + str(item).replace("'", "'\\''") + "'")
    return "\n".join(lines) + "\n"


class Router:
    """`namespace`: where its programs run; None: beside us."""

    def __init__(self, folder, program, namespace=None):
        self.root = Path(folder)
        self.namespace = namespace
        for source in _STANDINS.rglob("*"):
            if source.is_file():
                self.install(source.relative_to(_STANDINS), source.read_text())
        for place, name in _OURS.items():
            self.install(place, (_FILES / name).read_text())
        (self.root / "etc/config").mkdir(parents=True)
        self.install("usr/sbin/tunlite", Path(program).read_text(), moved=False)

    def install(self, place, text, moved=True):
        """Writes a script to `place` in the root, with its paths led there."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if moved:
            text = _MOVED.sub(rf"{self.root}/\1", text)
            text = text.replace("#!/bin/sh", f"#!{shutil.which('busybox')} ash", 1)
        path.write_text(text)
        path.chmod(0o755)

    def write(self, sections, package="network"):
        """Writes /etc/config/PACKAGE."""
        path = self.root / "etc/config" / package
        path.touch(mode=0o600)
        path.write_text(uci_text(sections))

    @property
    def environment(self):
        """What its programs find."""
        return {**os.environ, "PATH": f"{self.root}/sbin:{os.environ['PATH']}"}

    def run(self, argv, check=True):
        """Runs a program; its CompletedProcess with text output."""
        words = [str(word) for word in argv]
        if self.namespace is not None:
            words = self.namespace.command(words)
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sh(self, text, check=True):
        """Runs a script with the shell library and ours."""
        head = f". {self.root}/lib/functions.sh\n. {self.root}/lib/tunlite/uci.sh\n"
        return self.run([*SHELL, "-c", head + text], check)
