# SPDX-License-Identifier: MIT
"""A web server in uhttpd's and rpcd's place: our pages, the plugin as rpcd calls it, and UCI.

What a session may do is what the ACL file says, as in rpcd. Applied is what /etc/config/network has
of tunlite: a file by uci.sh, a daemon by `run --bare`, addresses and routes.
"""

import concurrent.futures
import http.server
import ipaddress
import json
import subprocess
import threading
from pathlib import Path

from lab.openwrt.router import SHELL, uci_text

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = _ROOT / "openwrt/luci-proto-tunlite"
_WWW = Path(__file__).parent / "www"
_RESOURCES = "/luci-static/resources/"
_STANDINS = ("form.js", "interfaces.js")
_DENIED = 6  # ubus' codes
_TYPES = {".js": "text/javascript", ".html": "text/html"}


def _allowed(method, rights):
    acl = json.loads((_PACKAGE / "root/usr/share/rpcd/acl.d/luci-proto-tunlite.json").read_text())
    found = acl["luci-proto-tunlite"]
    return any(method in found[right]["ubus"]["tunlite"] for right in rights)


class Luci:
    """`router`: router.Router; `namespace`: where its daemons run."""

    def __init__(self, router, namespace, rights=("read", "write")):
        self.router = router
        self.namespace = namespace
        self.rights = rights
        self.sections = []
        self.running = {}  # interface -> its process
        self._applied = {}  # interface -> the file
        # One thread for all daemons: the kernel ends them with the thread that started them.
        self._starter = concurrent.futures.ThreadPoolExecutor(1)
        source = _PACKAGE / "root/usr/libexec/rpcd/tunlite"
        router.install("usr/libexec/rpcd/tunlite", source.read_text())
        handler = type("Handler", (_Handler,), {"luci": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self):
        """No request is answered any more."""
        self._server.shutdown()
        self._server.server_close()

    # ---- ubus ----

    def answer(self, name, method, arguments):
        """[code] or [0, object]."""
        if name == "tunlite":
            return self._plugin(method, arguments)
        if method == "load":
            return [0, {"sections": self.sections}]
        if "write" not in self.rights:
            return [_DENIED]
        if method == "save":
            self.sections = arguments["sections"]
        else:
            self._starter.submit(self.apply).result()
        return [0, {}]

    def _plugin(self, method, arguments):
        if not _allowed(method, self.rights):
            return [_DENIED]
        text = json.dumps({**arguments, "ubus_rpc_session": "0" * 32}, ensure_ascii=False)
        path = self.router.root / "usr/libexec/rpcd/tunlite"
        env = self.router.environment
        env["PATH"] = f"{self.router.root}/usr/sbin:{env['PATH']}"
        done = subprocess.run(
            self.namespace.command([*SHELL, str(path), "call", method]),
            input=text,
            capture_output=True,
            text=True,
            env=env,
            timeout=60,
        )
        found = json.loads(done.stdout)
        assert isinstance(found, dict), done.stdout
        if method == "status":  # all namespaces share /var/run/wireguard
            rows = [row for row in found["interfaces"] if row["interface"] in self.running]
            found["interfaces"] = rows
        return [0, found]

    # ---- what /sbin/reload_config would make of it ----

    def apply(self):
        """Writes /etc/config/network, and starts or reloads what differs."""
        rows = [
            (
                one[".type"],
                None if one[".anonymous"] else one[".name"],
                {key: value for key, value in one.items() if key[0] != "."},
            )
            for one in self.sections
        ]
        self.router.write(rows)
        (self.router.root / "etc/config/network").write_text(uci_text(rows))
        for one in self.sections:
            if one[".type"] == "interface" and one.get("proto") == "tunlite":
                self._apply(one)

    def _apply(self, one):
        name = one[".name"]
        text = self.router.sh(f"config_load network; tunlite_config {name}").stdout
        if text == self._applied.get(name):
            return
        path = self.router.root / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(text)
        program = str(self.router.root / "usr/sbin/tunlite")
        if name in self.running:
            self.namespace.run([program, "reload", name])
        else:
            words = ["run", "--bare", "--config", str(path), "--interface", name]
            self.running[name] = self.namespace.start([program, *words], name)
            self.running[name].wait_line(f"{name}: ready")
        self._applied[name] = text
        self._set_up(one)

    def _set_up(self, one):
        name = one[".name"]
        for address in one.get("addresses", []):
            flags = ["nodad"] if ":" in address else []
            self.namespace.ip("addr", "replace", address, "dev", name, *flags)
        self.namespace.ip("link", "set", name, "mtu", one.get("mtu", "1420"), "up")
        for peer in self.sections:
            if peer[".type"] == f"tunlite_{name}" and peer.get("route_allowed_ips") == "1":
                for prefix in peer.get("allowed_ips", []):
                    self._route(name, prefix)

    def _route(self, name, prefix):
        family = "-6" if ":" in prefix else "-4"
        if ipaddress.ip_network(prefix, False).prefixlen:  # its default route leads outside
            self.namespace.ip(family, "route", "replace", prefix, "dev", name)


class _Handler(http.server.BaseHTTPRequestHandler):
    luci = None

    def log_message(self, *_):
        """Nothing of a request is printed."""

    def _send(self, data, kind="application/json", code=200):
        self.send_response(code)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):  # noqa: N802
        """A file of ours, or a stand-in."""
        path = self.path.partition("?")[0]
        if path.startswith(_RESOURCES) and path[len(_RESOURCES) :] not in _STANDINS:
            file = _PACKAGE / "htdocs" / path[1:]
        else:
            file = _WWW / (path.replace(_RESOURCES, "/")[1:] or "index.html")
        if not file.is_file() or ".." in path:
            self._send(b"", code=404)
            return
        self._send(file.read_bytes(), _TYPES.get(file.suffix, "text/plain"))

    def do_POST(self):  # noqa: N802
        """A call of ubus."""
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(json.dumps(self.luci.answer(*call)).encode())
