# SPDX-License-Identifier: MIT
"""What a router's owner does in LuCI, by a browser, with real daemons behind the pages.

router ==w9== way ==w1== gateway1, ==w2== gateway2, ==w3== gateway3: lab/star.py
"""

import json
import os
from pathlib import Path

import pytest

from lab import members
from lab.browser import Page
from lab.openwrt.luci import Luci
from lab.openwrt.router import Router
from lab.peers import Tunlite, tunlite_program
from lab.star import COMMON4, COMMON6, ROUTER, Star
from lab.topology import ping, wait_for

pytestmark = pytest.mark.once

# A folder where pictures for docs/openwrt.md are to be put.
_PICTURES = os.environ.get("TUNLITE_PICTURES")


class Owner:
    """A router on a star of gateways, and a browser at its page."""

    def __init__(self, lab, gateways):
        self.star = Star(lab, gateways)
        self.daemon = members.join(self.star, Tunlite(self.star.router, ROUTER))
        if _PICTURES:
            self.daemon.name = "vpn"
        self.name = self.daemon.name
        self.router = Router(lab.folder / "router", tunlite_program(lab.folder), self.star.router)
        self.luci = Luci(self.router, self.star.router)
        lab.on_close(self.luci.close)
        (lab.folder / "browser").mkdir()
        self.page = Page(lab.folder / "browser")
        lab.on_close(self.page.close)
        self.page.size(900, 300)

    def form(self):
        """Opens the interface's form."""
        self.page.open(f"{self.luci.url}?interface={self.name}")

    def field(self, name, where=""):
        """The selector of an option's first field."""
        return f"{where} [data-name={name}] :is(input, select)"

    def tab(self, name):
        self.page.click(f".tabs [data-tab={name}]")

    def notes(self):
        return self.page.text("#notes")

    def apply(self):
        """Save & Apply; what the page says then."""
        self.page.run("document.querySelector('#notes').replaceChildren()")
        self.page.click("#apply")
        self.page.wait("document.querySelector('#notes').innerText !== ''", 40)
        return self.notes()

    def file(self):
        """The router's file of wg-quick with all gateways in a group, as somebody has sent it."""
        return self.daemon.config_text()

    def run_gateways(self):
        for spot in self.star.spots:
            spot.daemon.start()

    def status(self):
        """`tunlite show`, of the daemon that was started by Save & Apply."""
        return self.daemon.show_json()

    def picture(self, name):
        if _PICTURES:
            self.page.run("document.querySelector('#notes').replaceChildren()")
            self.page.screenshot(Path(_PICTURES) / f"{name}.png")


@pytest.fixture
def owner(lab, request):
    """With three gateways, or as many as the test says."""
    return Owner(lab, getattr(request, "param", 3))


ONE = pytest.mark.parametrize("owner", [1], indirect=True, ids=["one"])


def _answers(owner):
    return wait_for(
        lambda: ping(owner.star.router, COMMON4, count=1, wait=1).received, 20, "a ping"
    )


@ONE
def test_a_new_tunnel_and_a_new_peer_are_made_by_hand_and_a_wrong_key_is_not_saved(owner):
    page, spot = owner.page, owner.star.spots[0]
    owner.form()
    page.click("[data-name=_keys] button")
    page.wait("document.querySelector('[data-name=private_key] input').value.length === 44")
    page.wait("document.querySelector('[data-name=_public_key] output').innerText.length === 44")
    owner.daemon.keys.public = page.text("[data-name=_public_key] output")
    spot.daemon.peers.clear()
    spot.daemon.add_peer(owner.daemon)
    spot.daemon.start()
    page.type(owner.field("addresses"), f"{owner.daemon.v4}/16")
    page.type(owner.field("listen_port"), "70000")
    assert "a port, 0 to 65535" in page.text("[data-name=listen_port] .wrong")
    assert "Listen port" in owner.apply() and not owner.luci.sections
    page.type(owner.field("listen_port"), "51820")
    assert page.text("[data-name=listen_port] .wrong") == ""
    owner.picture("general")
    owner.tab("peers")
    page.click("[data-tab=peers] .add")
    modal = "#modal"
    # a pattern cannot say what is wrong with this one: 44 characters, and no key
    wrong = spot.daemon.keys.public[:-2] + "B="
    page.type(owner.field("description", modal), "gw1")
    page.type(owner.field("public_key", modal), wrong)
    page.type(owner.field("endpoint_host", modal), str(spot.far.v4))
    page.type(owner.field("allowed_ips", modal), "10.77.0.0/16")
    page.click("#modal [data-name=route_allowed_ips] input")
    page.click("#modal .save")
    page.wait("document.querySelector('#modal .tunlite-faults').innerText !== ''")
    assert "gw1, Public key" in page.text("#modal .tunlite-faults")
    owner.picture("wrong")
    page.type(owner.field("public_key", modal), "gateway")
    assert "a public key: 44" in page.text("#modal [data-name=public_key] .wrong")
    page.type(owner.field("public_key", modal), spot.daemon.keys.public)
    page.click("#modal .save")
    page.wait("!document.querySelector('#modal')")
    assert "Applied." in owner.apply()
    _answers(owner)
    assert owner.status()["peers"][0]["description"] == "gw1"


@ONE
def test_a_peer_gets_a_key_the_next_address_and_a_file_of_its_own(owner):
    page = owner.page
    owner.luci.sections = [
        {".name": owner.name, ".type": "interface", ".anonymous": False, "proto": "tunlite",
         "private_key": owner.daemon.keys.private, "addresses": ["10.77.0.2/24", "fd77::2/64"],
         "listen_port": "51821"},
        {".name": "a", ".type": f"tunlite_{owner.name}", ".anonymous": True,
         "public_key": owner.star.spots[0].daemon.keys.public,
         "allowed_ips": ["10.77.0.1/32", "fd77::1/128", "0.0.0.0/0"]},
    ]  # fmt: skip
    owner.form()
    owner.tab("peers")
    page.click("[data-tab=peers] .add")
    page.type(owner.field("description", "#modal"), "laptop")
    for name in ("_pair", "_psk", "_next"):
        page.click(f"#modal [data-name={name}] button")
    page.wait("document.querySelectorAll('#modal [data-name=allowed_ips] input').length === 3")
    values = "[...document.querySelectorAll('#modal [data-name=%s] input')].map((one) => one.value)"
    assert page.run(values % "allowed_ips")[:2] == ["10.77.0.3/32", "fd77::3/128"]
    page.wait("document.querySelector('#modal [data-name=preshared_key] input').value !== ''")
    page.wait("document.querySelector('#modal [data-name=public_key] input').value !== ''")
    (psk,) = page.run(values % "preshared_key")
    (public,) = page.run(values % "public_key")
    page.click("#modal [data-name=_export] button")
    page.wait("!!document.querySelector('#modal textarea')")
    file = page.run("document.querySelector('#modal textarea').value")
    assert "Address = 10.77.0.3/32, fd77::3/128\n" in file and f"PresharedKey = {psk}\n" in file
    assert f"PublicKey = {owner.daemon.keys.public}\n" in file
    assert "Endpoint = 127.0.0.1:51821\n" in file
    private = file.split("PrivateKey = ")[1].split("\n")[0]
    pair = owner.luci.answer("tunlite", "getPublicAndPrivateKeyFromPrivate", {"privkey": private})
    assert pair[1]["keys"]["pub"] == public
    page.click("#tunlite-draw")
    page.wait("!!document.querySelector('#tunlite-qr svg rect')")
    owner.picture("export")
    assert private not in json.dumps(owner.luci.sections)


@ONE
def test_without_qrencode_there_is_no_button_and_who_may_only_look_changes_nothing(owner):
    page = owner.page
    asked = owner.luci.answer

    def answer(name, method, arguments):
        found = asked(name, method, arguments)
        return [0, {**found[1], "qrencode": False}] if method == "info" else found

    owner.luci.answer = answer
    owner.form()
    page.click("[data-name=_keys] button")
    page.wait("document.querySelector('[data-name=private_key] input').value.length === 44")
    owner.luci.rights = ("read",)
    for call in (["generatePsk", {}], ["block", {"interface": owner.name, "key": "x"}]):
        assert owner.luci.answer("tunlite", *call) == [6]
    assert owner.luci.answer("uci", "save", {"sections": []}) == [6]
    assert owner.luci.answer("tunlite", "status", {})[0] == 0
    page.click("[data-name=_keys] button")
    page.wait("document.querySelector('#notes').innerText.includes('ubus code 6')")


def test_a_file_is_imported_by_paste_and_the_status_tells_which_gateway_when_one_dies(owner):
    page = owner.page
    owner.run_gateways()
    owner.form()
    page.click("[data-name=_import] button")
    page.type("#tunlite-paste", "[Interface]\n")
    page.click("#modal .cbi-button-action")
    page.wait("document.querySelector('#modal').innerText.includes('no file of wg-quick')")
    text = owner.file() + "PreUp = x\n"
    page.type("#tunlite-paste", text.replace("[Group]", "PostUp = echo\n[Group]"))
    page.click("#modal .cbi-button-action")
    page.wait("document.querySelector('#notes').innerText.includes('Left out')")
    assert "PostUp" in owner.notes()
    owner.tab("peers")
    page.wait("document.querySelectorAll('[data-tab=peers] .grid-row').length === 3")
    owner.picture("peers")
    assert "Applied." in owner.apply()
    _answers(owner)
    page.open(f"{owner.luci.url}?page=status")
    section = f"[data-interface={owner.name}]"
    used = members.used(owner.star, owner.daemon)
    page.wait(f"!!document.querySelector('{section} .used')")
    assert page.text(f"{section} .used") == f"gw{used.number - 100}"
    assert "up for" in page.text(f"{section} .peer.up .since")
    assert page.run("document.querySelectorAll('.peer.standby').length") == 2
    _traffic(owner)
    owner.picture("status")
    used.kill()
    ping(owner.star.router, COMMON4, count=8, wait=1)
    members.wait_used(owner.star, owner.daemon, _other(owner, used))
    page.run("polls.forEach((look) => look())")
    page.wait(f"document.querySelector('{section} .used').innerText !== 'gw{used.number - 100}'")
    assert "silent" in page.text(f"{section} .group")
    page.wait("document.querySelectorAll('.peer.up').length === 1")
    _looks(owner)


def _other(owner, dead):
    """The spot of whoever is used when it is another one."""
    return wait_for(
        lambda: (spot := members.used(owner.star, owner.daemon)) is not dead and spot, 20, "another"
    )


def _traffic(owner):
    """A little of it, and a look at the status after each piece, for the graphs."""
    for size in (20, 600, 200, 1200, 400, 900, 100):
        words = ["ping", "-q", "-c", "20", "-i", "0.01", "-s", str(size), COMMON6]
        owner.star.router.run(words, check=False)
        owner.page.run("Promise.all(polls.map((look) => look()))")


def _looks(owner):
    """On a narrow window nothing is wider than it; in the dark it is dark."""
    page = owner.page
    for width, dark in ((360, False), (360, True), (900, True)):
        page.size(width, 300, dark)
        assert page.run("document.documentElement.scrollWidth") <= width
        owner.picture(f"status-{width}-{'dark' if dark else 'light'}")


@ONE
def test_graphs_and_lists_are_bounded_and_texts_of_others_stay_texts(owner):
    page = owner.page
    peer = {"description": "<img src=x onerror=failed()>", "endpoint": None, "established_s": None}
    peer.update(ended="silent", handshake_age_s=None, rx_bytes=0, tx_bytes=0)
    row = {"interface": "x", "mtu": 1420, "listen_port": 1, "layer": 3, "uptime_s": 90061}
    row["peers"] = [{**peer, "public_key": f"{number:044d}"} for number in range(300)]
    row["drops"] = {"no_route": 3, "strange_one": 1}
    row["offloads"] = [{"name": "udp_gso", "on": False, "why": "the kernel has none"}]
    owner.luci.answer = lambda *_: [0, {"interfaces": [row], "sections": []}]
    page.open(f"{owner.luci.url}?page=status")
    page.wait("!!document.querySelector('.peer')")
    all_of_them, row["peers"] = row["peers"], row["peers"][:1]
    for _ in range(65):
        page.run("Promise.all(polls.map((look) => look()))")
    assert page.run("document.querySelector('path').getAttribute('d').split('L').length") == 60
    row["peers"] = all_of_them
    page.run("Promise.all(polls.map((look) => look()))")
    assert page.run("document.querySelectorAll('.peer').length") == 100
    assert page.run("document.querySelectorAll('img').length") == 0
    text = page.text("#tunlite-all")
    assert "3 packets to addresses that are in nobody’s allowed IPs (no_route)" in text
    assert "200 more peers: tunlite show x" in text
    assert "1 strange one (strange_one)" in text
    assert "udp gso off: the kernel has none" in text and "runs for 1 d 1 h" in text
