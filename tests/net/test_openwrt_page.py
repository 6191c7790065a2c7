# SPDX-License-Identifier: MIT
"""docs/openwrt.md: the file for Gluon's topology, as it stands there, against Gluon's gateway.

router ==w1== gateway, a vxlan over the tunnel's link-local addresses
"""

import contextlib
import hashlib
import re
import textwrap
from pathlib import Path

import pytest

from lab.netns import wait_for
from lab.peers import Keys, ini, interface_name, tunlite_command, tunlite_program

pytestmark = pytest.mark.once

_PAGE = (Path(__file__).resolve().parents[2] / "docs/openwrt.md").read_text()


def _block(first, last):
    """The indented lines of the page from the one with `first` to the one with `last`."""
    found = re.search(rf"^    [^\n]*{first}.*?{last}[^\n]*$", _PAGE, re.M | re.S)
    return textwrap.dedent(found[0])


def _own_address(key, folder):
    """What the page's command makes of a private key."""
    (folder / "own.key").write_text(key + "\n")
    tunlite_program(folder)
    command = _block("tunlite pubkey < /etc/tunlite/wg_mesh.key", "sed ")
    return command.replace("/etc/tunlite/wg_mesh.key", str(folder / "own.key"))


def _up(lab, namespace, text):
    path = lab.folder / f"{interface_name()}.conf"
    path.touch(mode=0o600)
    path.write_text(text)

    def down():
        with contextlib.suppress(OSError):
            namespace.run([*tunlite_command(), "down", str(path)], check=False)

    lab.on_close(down)
    namespace.run([*tunlite_command(), "up", str(path)])
    return path.stem


def test_frames_reach_a_gateway_that_sends_vxlan_without_checksums(lab):
    router, gateway = lab.namespace("router"), lab.namespace("gateway")
    far = lab.wire(router, gateway)[1]
    mine, theirs = Keys(), Keys()
    command = _own_address(mine.private, lab.folder)
    path = f"PATH={lab.folder}:$PATH"
    own = router.run(["sh", "-c", f"{path}; {command}"]).stdout.strip()
    digest = hashlib.md5(mine.public.encode()).hexdigest()
    assert own == "fe80::02{}:{}ff:fe{}:{}{}".format(*re.findall("..", digest)[:5])
    text = _block("# /etc/tunlite/wg_mesh.conf", "PersistentKeepalive")
    text = re.sub(r".*(SocketGroup|batctl).*\n", "", text)  # neither is on this machine
    text = text.replace("<key>", mine.private).replace("<own>", own).replace("<id>", "4711")
    text = text.replace("<gateway>", theirs.public).replace("gw1.example.org", str(far.v4))
    _up(lab, router, text)
    interface = {"PrivateKey": theirs.private, "ListenPort": 51820, "Address": "fe80::1/64"}
    peer = {"PublicKey": mine.public, "AllowedIPs": f"{own}/128"}
    name = _up(lab, gateway, ini([("Interface", {**interface, "Table": "off"}), ("Peer", peer)]))
    vxlan = f"mesh-vpn type vxlan id 4711 local fe80::1 remote {own} dev {name} dstport 4789"
    gateway.ip("link", "add", *vxlan.split(), "udp6zerocsumtx", "udp6zerocsumrx")
    for namespace, address in ((router, "10.9.0.1/24"), (gateway, "10.9.0.2/24")):
        namespace.ip("addr", "add", address, "dev", "mesh-vpn")
    gateway.ip("link", "set", "mesh-vpn", "up")
    ping = ["ping", "-c", "1", "-W", "1", "-s", "1300", "10.9.0.2"]
    wait_for(lambda: router.run(ping, check=False).returncode == 0, 20, "a ping through the vxlan")
