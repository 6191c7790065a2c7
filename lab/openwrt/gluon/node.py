# SPDX-License-Identifier: MIT
"""A Gluon node's root: a router's, with Gluon's stand-ins and our provider of its mesh VPN."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from lab.openwrt.router import Router

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "openwrt/gluon/gluon-mesh-vpn-tunlite"
LAB = Path(__file__).parent
_UPGRADE = "lib/gluon/upgrade"


def lua(value):
    """A Lua expression, as site.conf has them."""
    if isinstance(value, dict):
        rows = ", ".join(f"[{lua(name)}] = {lua(part)}" for name, part in value.items())
        return "{" + rows + "}"
    if isinstance(value, list | tuple):
        return "{" + ", ".join(lua(part) for part in value) + "}"
    return json.dumps(value)


class Node(Router):
    """`site` is site.conf: its text, or what it says as a dict."""

    def __init__(self, folder, program, site, namespace=None):
        super().__init__(folder, program, namespace)
        for source in (LAB / "root", PACKAGE / "files", PACKAGE / "luasrc"):
            for path in source.rglob("*"):
                if path.is_file():
                    self.install(path.relative_to(source), path.read_text())
        interpreter = self.root / "usr/bin/lua"
        interpreter.parent.mkdir(parents=True, exist_ok=True)
        interpreter.symlink_to(shutil.which("lua5.1"))
        self.write_site(site)

    def write_site(self, site):
        """Writes site.conf anew."""
        text = site if isinstance(site, str) else lua(site)
        (self.root / "lib/gluon/site.conf").write_text(text)

    @property
    def environment(self):
        """What its programs find."""
        path = f"{self.root}/usr/lib/lua/?.lua"
        inherited = super().environment
        return {
            **inherited,
            "LUA_PATH": path,
            "PATH": f"{self.root}/usr/sbin:{inherited['PATH']}",
        }

    def lua(self, text, check=True, stdin=""):
        """Runs Lua, or a file that Lua names: `dofile(...)`; its CompletedProcess."""
        done = subprocess.run(
            [self.root / "usr/bin/lua", "-e", text],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and done.returncode:
            raise AssertionError(f"{text}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def upgrade(self, *names):
        """Runs these upgrade scripts, all without them, each a process, as Gluon does."""
        for name in names or sorted(os.listdir(self.root / _UPGRADE)):
            self.lua(f"dofile('{self.root / _UPGRADE / name}')")

    def commit(self):
        """What was saved becomes /etc/config, after the scripts."""
        for path in sorted((self.root / "tmp/.uci").glob("*")):
            path.rename(self.root / "etc/config" / path.name)

    def sysupgrade(self):
        """What Gluon makes of the network before the scripts, and what it forgets after them."""
        config = self.root / "etc/config"
        old = config / "network_gluon-old"
        if (config / "network").exists():
            (config / "network").rename(old)
        self.write([("interface", "loopback", {"proto": "static"})])
        self.upgrade()
        self.commit()
        old.unlink(missing_ok=True)

    def uci(self, package="network"):
        """{section: {option: text or list}} as committed or, before that, saved; .type too."""
        text = self.sh(f"uci -q export {package}").stdout
        found, section = {}, {}
        for line in text.splitlines():
            word, _, rest = line.strip().partition(" ")
            name, _, value = rest.partition(" ")
            value = value.strip("'")
            if word == "config":
                section = found[value] = {".type": name}
            elif word == "option":
                section[name] = value
            elif word == "list":
                section.setdefault(name, []).append(value)
        return found

    def provider(self, call):
        """What the provider's module says, as Lua prints it."""
        return self.lua(f"print(require('gluon.mesh-vpn.provider.tunlite').{call})").stdout.strip()

    def check_site(self):
        """What is wrong with site.conf, in check_site.lua's words; empty where nothing is."""
        text = (PACKAGE / "check_site.lua").read_text()
        done = self.lua(f"dofile('{self.root}/lib/gluon/check-site.lua')", check=False, stdin=text)
        assert done.returncode == (1 if done.stderr else 0), done.stderr
        return done.stderr

    def file(self, interface="wg_mesh"):
        """The file that the handler makes of the interface."""
        return self.sh(f"config_load network; tunlite_config {interface}").stdout
