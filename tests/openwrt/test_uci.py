# SPDX-License-Identifier: MIT
"""/lib/tunlite/uci.sh: /etc/config/network becomes a file of ours, row by row of the table."""

import re
from pathlib import Path

import pytest

from lab.openwrt.router import Router
from lab.peers import Keys, tunlite_program
from tunlite.config import options, parser
from tunlite.config.options import KIND, NAME, SECTION, UCI, WHOSE
from tunlite.config.values import LISTS

ROWS = list(options.rows())
KEYS = Keys()
OF_NETIFD = ("Address", "MTU", "DNS")
_SCRIPT = Path(__file__).resolve().parents[2] / "openwrt/tunlite/files/uci.sh"


@pytest.fixture
def router(tmp_path):
    return Router(tmp_path / "root", tunlite_program(tmp_path))


def config(router, sections):
    """The file that interface wg0 of these sections becomes."""
    router.write(sections)
    return router.sh("config_load network\ntunlite_config wg0").stdout


def check(router, sections):
    """(exit status, lines) of what is wrong with wg0."""
    router.write(sections)
    file = router.root / "wg0.conf"
    text = f"umask 077; config_load network; tunlite_config wg0 >{file}; tunlite_check wg0 {file}"
    done = router.sh(text, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def ours():
    """Rows that the file of an interface of netifd may have."""
    return [row for row in ROWS if row[WHOSE] != "wg-quick"]


def in_script():
    """{section: [(UCI name, file's name)]} as the script has them."""
    found = {"Interface": [], "Group": [], "Peer": []}
    section = None
    for line in _SCRIPT.read_text().splitlines():
        if begun := re.match(r"_tunlite_(interface|group|peer)\(\)", line):
            section = begun[1].capitalize()
        elif row := re.match(r'\t_tunlite_\w+ "\$1" (\S+) (\w+)$', line):
            if section:
                found[section].append((row[1], row[2]))
        elif line == "}":
            section = None
    return found


def test_the_script_has_every_row_of_the_option_table_and_no_other():
    wanted = {
        section: [(row[UCI], row[NAME]) for row in ours() if row[SECTION] == section]
        for section in options.SECTIONS
    }
    assert in_script() == wanted


def test_what_wg_quick_alone_knows_is_netifds_or_refused():
    refused = re.search(r"TUNLITE_REFUSED='(.*)'", _SCRIPT.read_text())[1].split()
    names = {row[UCI]: row[NAME] for row in ROWS if row[WHOSE] == "wg-quick"}
    assert sorted(names[name] for name in refused) == sorted(set(names.values()) - set(OF_NETIFD))


def _written(row, value):
    """What UCI has for a row: a list for list kinds, else an option."""
    return {row[UCI]: [value] if row[KIND] in LISTS else value}


@pytest.mark.parametrize("section", options.SECTIONS)
def test_every_option_of_a_section_arrives_with_its_value(router, section):
    kinds = {"interface": {"proto": "tunlite"}, "group": {"interface": "wg0"}, "peer": {}}
    rows = [row for row in ours() if row[SECTION] == section and row[KIND] != "endpoint"]
    for number, row in enumerate(rows):
        kinds[section.lower()].update(_written(row, f"value-{number}"))
    text = config(
        router,
        [
            ("interface", "wg0", kinds["interface"]),
            ("tunlite_group", "one", kinds["group"]),
            ("tunlite_wg0", "two", kinds["peer"]),
        ],
    )
    begun = text.index(f"[{section}]")
    lines = text[begun:].split("\n#")[0].splitlines()[1:]
    assert lines == [f"{row[NAME]} = value-{number}" for number, row in enumerate(rows)]


def test_a_section_of_wireguards_becomes_the_same_tunnel(router):
    peers = {
        "public_key": KEYS.public,
        "private_key": KEYS.private,  # LuCI keeps it there for its QR code
        "allowed_ips": ["10.0.0.0/8", "fd00::/8"],
        "route_allowed_ips": "1",
        "endpoint_host": "2001:db8::1",
        "endpoint_port": "1234",
        "persistent_keepalive": "25",
        "description": "gateway #1",
    }
    gone = {"public_key": Keys().public, "disabled": "1"}
    interface = {"proto": "tunlite", "private_key": KEYS.private, "addresses": ["10.0.0.1/24"]}
    text = config(
        router,
        [
            ("interface", "wg0", {**interface, "listen_port": "51820", "fwmark": "0x1"}),
            ("tunlite_wg0", None, peers),
            ("tunlite_wg0", None, gone),
            ("tunlite_wg1", None, gone),
        ],
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "[Interface]",
        f"PrivateKey = {KEYS.private}",
        "ListenPort = 51820",
        "FwMark = 0x1",
        "[Peer]",
        f"PublicKey = {KEYS.public}",
        "AllowedIPs = 10.0.0.0/8, fd00::/8",
        "Endpoint = [2001:db8::1]:1234",
        "PersistentKeepalive = 25",
        "Description = gateway 1",
    ]


@pytest.mark.parametrize(
    "hosts, port, endpoint",
    [
        ("gw1", None, "gw1:51820"),
        ("192.0.2.1", "7", "192.0.2.1:7"),
        (["gw1", "gw2:8", "fe80::1%br-wan", "[2001:db8::2]:9", "[2001:db8::3]"], "7",
         "gw1:7, gw2:8, [fe80::1%br-wan]:7, [2001:db8::2]:9, [2001:db8::3]:7"),
    ],
)  # fmt: skip
def test_hosts_and_the_port_become_endpoints(router, hosts, port, endpoint):
    options_ = {"endpoint_host": hosts, **({"endpoint_port": port} if port else {})}
    text = config(router, [("interface", "wg0", {}), ("tunlite_wg0", None, options_)])
    assert f"Endpoint = {endpoint}\n" in text


def test_commands_keep_their_blanks_and_a_switch_is_understood_in_every_word_of_uci(router):
    interface = {"on_establish": ["logger 'it is up'", "true"], "on_disestablish": "echo a  b"}
    for word, said in (("1", "on"), ("true", "on"), ("off", "off"), ("0", "off"), ("x", "x")):
        text = config(router, [("interface", "wg0", {**interface, "hide_addresses": word})])
        assert f"HideAddresses = {said}\n" in text
    assert "OnEstablish = logger 'it is up'\nOnEstablish = true\n" in text
    assert "OnDisestablish = echo a  b\n" in text


def test_groups_are_those_of_the_interface(router):
    groups = [
        ("tunlite_group", "a", {"interface": "wg0", "name": "gateways", "limit": "1"}),
        ("tunlite_group", "b", {"interface": "wg1", "name": "others"}),
    ]
    text = config(router, [("interface", "wg0", {}), *groups])
    assert "[Group]\nName = gateways\nLimit = 1\n" in text and "others" not in text


def test_what_check_says_names_section_and_option_of_uci(router):
    interface = {"private_key": KEYS.private, "listen_port": "70000", "post_up": "true"}
    peer = {"public_key": KEYS.public, "allowed_ips": ["10.0.0.300"], "endpoint_host": "a_b!"}
    status, lines = check(
        router,
        [
            ("interface", "wg0", {**interface, "save_config": "1"}),
            ("tunlite_wg0", "gw1", peer),
            ("tunlite_wg0", "gw2", {"group": "nobody"}),
        ],
    )
    assert status == 1
    assert [line.split(":")[0] for line in lines] == [
        *("wg0.post_up", "wg0.save_config", "wg0.listen_port"),
        *("gw1.allowed_ips", "gw1.endpoint_host", "gw2.group", "gw2.public_key"),
    ]
    assert '"10.0.0.300" is no address; write it as' in lines[3]


def test_a_good_interface_is_no_error_and_one_without_a_key_is(router):
    good = {"proto": "tunlite", "private_key": KEYS.private}
    peer = {"public_key": KEYS.public, "endpoint_port": "51820", "description": ""}
    peer["allowed_ips"] = ["10.0.0.0/8", "fd00::/8"]
    assert check(router, [("interface", "wg0", good), ("tunlite_wg0", None, peer)]) == (0, [])
    status, lines = check(router, [("interface", "wg0", {"proto": "tunlite"})])
    assert status == 1 and lines[0].startswith("wg0.private_key: there is none; write generate")


@pytest.mark.parametrize("option", ["on_establish", "user", "private_key"])
@pytest.mark.parametrize("value", ["true\nOnVerify = true", "true # and"])
def test_no_value_becomes_another_line_or_loses_its_end(router, option, value):
    key = {"private_key": KEYS.private}
    status, lines = check(router, [("interface", "wg0", {**key, option: value})])
    assert status == 1 and lines[0].startswith(f"wg0.{option}: a line break or a # stands in it")
    config_ = parser.read(str(router.root / "wg0.conf"))
    assert "OnVerify" not in config_.interface and "OnEstablish" not in config_.interface


def test_a_key_in_a_wrong_place_is_not_shown(router):
    interface = {"private_key": KEYS.private, "listen_port": KEYS.private, "user": KEYS.private}
    status, lines = check(router, [("interface", "wg0", interface)])
    assert status == 1 and len(lines) == 2 and not [x for x in lines if KEYS.private[:40] in x]
