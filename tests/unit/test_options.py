# SPDX-License-Identifier: MIT
"""The table of options, and that whatever repeats a part of it leaves no row out.

Each place has a function that gives the rows it forgets: none of ours, and each time a planted one.
"""

import json
import re
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tunlite.cli import commands
from tunlite.config import as_uapi, layers, options, parser, save, secret_text, settings, values
from tunlite.config.options import DEFAULT, HELP, KIND, NAME, SECTION, UAPI, UCI, WHEN, WHOSE
from tunlite.uapi import text as uapi

ROOT = Path(__file__).resolve().parents[2]
ROWS = list(options.rows())
# A value of each kind, other than its default.
WRITTEN = {
    "secret": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    "public": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    **{"port": "7", "mark": "0x9", "prefixes": "10.0.0.1/24", "allowed": "10.1.0.0/16"},
    **{"mtu": "1300", "table": "off", "dns": "192.0.2.53", "hook": "true", "bool": "true"},
    **{"keepalive": "25", "endpoint": "192.0.2.1:9", "text": "a name", "word": "daemon"},
    **{"name": "nodes", "rate": "5M"},
    **{"name": "nodes", "limit": "1", "choose": "order", "seconds": "3", "address": "10.1.0.1"},
    **{"engine": "mmsg", "aead": "portable", "features": "off", "batch": "8", "memory": "1M"},
    **{"workers": "2", "slots": "8", "rekey": "60", "folder": "/tmp/x", "layer": "3"},
    **{"lifetime": "3600", "count": "5", "modes": "authentic,on"},
    **{"socket": "/tmp/x.status", "switch": "on", "path_mtu": "1400"},
    **{"macs": "02:00:5e:10:00:01, 02:00:5e:10:00:02"},
    **{"encapsulation": "vxlan", "vni": "7", "dialect": "munich", "vxlan_port": "4790"},
}


@pytest.fixture(autouse=True)
def _any_layer(monkeypatch):
    """No file has all: some go with one layer alone."""
    monkeypatch.setattr(layers, "check", lambda parser: None)


def planted(section, **columns):
    """The table with a row more."""
    row = [section, "Planted", "tunlite", "text", "none", "now", "planted", "planted", "a help"]
    for column, text in columns.items():
        row[globals()[column]] = text
    return [*ROWS, tuple(row)]


def _whole_file():
    """A file that sets every option of ours."""
    parts = []
    for section in options.SECTIONS:
        parts.append(f"[{section}]")
        parts += [f"{row[NAME]} = {WRITTEN[row[KIND]]}" for row in ROWS if row[SECTION] == section]
    return "\n".join(parts) + "\n"


def _parse(text):
    config = parser.parse(secret_text.Text([bytearray(text.encode())]), "f")
    assert not config.errors, config.errors
    return config


# ---- rows ------------------------------------------------------------------------------------


def test_a_row_has_all_its_columns_and_a_kind_that_is_read():
    for row in ROWS:
        assert len(row) == HELP + 1 and all(row), row
        assert row[SECTION] in options.SECTIONS
        assert row[WHOSE] in ("wg", "wg-quick", "tunlite")
        assert row[WHEN] in ("now", "start")
        assert row[KIND] in values.SECRETS or row[KIND] in values.PARSERS
        assert row[KIND] in WRITTEN, "write a value of this kind above"


def test_a_name_and_a_key_stand_once():
    for section in options.SECTIONS:
        for column in (NAME, UAPI, UCI):
            texts = [row[column].lower() for row in ROWS if row[SECTION] == section]
            texts = [text for text in texts if text != "-"]
            assert len(set(texts)) == len(texts)


def test_every_default_that_can_be_written_is_what_the_option_is_without_it():
    for row in ROWS:
        if row[DEFAULT] not in ("none", "required"):
            needed = {"Peer": f"PublicKey = {WRITTEN['public']}\n", "Group": "Name = nodes\n"}
            first = needed.get(row[SECTION], "")
            config = _parse(f"[{row[SECTION]}]\n{first}{row[NAME]} = {row[DEFAULT]}\n")
            (section,) = [*config.groups, *config.peers] or [config.interface]
            assert section[row[NAME]] == settings.default(row), row[NAME]


def test_an_option_without_a_default_is_an_empty_list_or_nothing():
    found = settings.Settings({})
    assert found["Address"] == [] and found["PreUp"] == [] and found["DNS"] == []
    assert found["PrivateKey"] is None and found["Table"] is None
    assert found["Engine"] == "auto" and found["MTU"] == 0 and found["RekeyAfter"] == 120


def test_settings_have_what_was_set_and_defaults_for_the_rest():
    given = {"MTU": 1300}
    found = settings.Settings(given)
    found["FwMark"] = 7
    assert given == {"MTU": 1300, "FwMark": 7}
    assert (found["MTU"], found["FwMark"], found["ListenPort"]) == (1300, 7, 0)
    assert found.given is given
    with pytest.raises(KeyError):
        found["mtu"]


def test_what_takes_a_new_daemon_is_the_same_when_it_is_read_from_the_record():
    text = bytearray(
        b"[Interface]\nRingSlots = 8, 32\nOffloads = udp_gso\nWorkers = 2\nMemory = 4M\nUser = x\n"
        b"Batch = 8\nEngine = mmsg\nAEAD = portable\nRekeyAfter = 30\nStateDir = /x\nLayer = 3\n"
        b"SocketGroup = y\nStatusSocket = /run/x\nHideAddresses = on\n"
        b"ForwardPeers = on\n"
        b"Encapsulation = vxlan\nVNI = 7\nVXLANDialect = plain\nVXLANPort = 9\n"
        b"VXLANLocal = 10.0.0.1\nVXLANRemote = 10.0.0.2\n"
    )
    fixed = parser.parse(secret_text.Text([text]), "x.conf").settings.fixed()
    assert set(fixed) == set(settings.FIXED)
    assert json.loads(json.dumps(fixed)) == fixed


def test_a_list_of_defaults_is_nobody_else_s():
    settings.Settings({})["Address"].append(1)
    assert settings.Settings({})["Address"] == []


# ---- what is made from the table -------------------------------------------------------------


def test_check_reads_every_row_and_lists_it(capfd):
    config = _parse(_whole_file())
    (peer,) = config.peers
    (group,) = config.groups
    assert {*config.interface, *group, *peer} == {row[NAME] for row in ROWS} | {"line"}
    assert commands.check({"--keys": True}, []) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == len(ROWS)
    for line, row in zip(lines, ROWS, strict=True):
        assert line.startswith(
            f"[{row[SECTION]}] {row[NAME]} ({row[WHOSE]}; default {row[DEFAULT]})"
        )


def test_every_secret_is_wiped():
    config = _parse(_whole_file())
    secrets = []
    for peer in config.peers:
        secrets += [peer[row[NAME]] for row in ROWS if row[SECTION] == "Peer" and _is_secret(row)]
    interface = [row for row in ROWS if row[SECTION] == "Interface" and _is_secret(row)]
    secrets += [config.interface[row[NAME]] for row in interface]
    config.wipe()
    assert len(secrets) == 2 and all(secret == bytes(32) for secret in secrets)


def _is_secret(row):
    return row[KIND] in values.SECRETS


# ---- what repeats a part of it ---------------------------------------------------------------


def _not_told(rows):
    """Options with a UAPI key that no configuration sends."""
    lines = b"".join([bytes(piece) for piece in as_uapi.whole(_parse(_whole_file()))])
    return _missing(rows, lines.decode())


def _not_added(rows):
    lines = b"".join([bytes(piece) for piece in as_uapi.added(_parse(_whole_file()))])
    return _missing(rows, lines.decode())


def _missing(rows, text):
    sent = {line.partition("=")[0] for line in text.splitlines()}
    return [row[NAME] for row in rows if row[UAPI] != "-" and row[UAPI] not in sent]


def _not_taken(rows):
    """Options with a UAPI key that text.py does not know."""
    found = []
    for row in rows:
        setter = uapi.Setter(MagicMock())
        if row[SECTION] == "Peer":
            setter.line(bytearray(b"public_key=" + b"ab" * 32))
        try:
            setter.line(bytearray(row[UAPI].encode() + b"="))
        except uapi.UapiError as e:
            if row[UAPI] != "-" and str(e).startswith("unknown key"):
                found.append(row[NAME])
    return found


def _not_compared(rows):
    """Options of a peer that a sync does not compare; the daemon does not tell a description."""
    keys = [key.decode() for key in as_uapi.COMPARED] + ["public_key", "description", "lifetime"]
    peer = [row for row in rows if row[SECTION] == "Peer" and row[UAPI] != "-"]
    return [row[NAME] for row in peer if row[UAPI] not in keys]


def _not_saved(rows):
    """Options that a daemon has and SaveConfig does not write."""
    config = _parse(_whole_file())
    lines = b"".join([bytes(piece) for piece in as_uapi.whole(config)])
    # As get=1 has it: without what only a set has.
    pairs = [tuple(line.split(b"=", 1)) for line in lines.splitlines()]
    kept = [row[UAPI].encode() for row in ROWS if row[UAPI] not in ("-", "description", "lifetime")]
    running = as_uapi.Running([pair for pair in pairs if pair[0] in kept])
    text = bytes(save.render(config, running)).decode()
    named = {line.partition(" = ")[0] for line in text.splitlines()}
    return [row[NAME] for row in rows if row[UAPI] != "-" and row[NAME] not in named]


def _without_uci_name(rows):
    """Options whose UCI name cannot be one: another has it, or it is none of OpenWrt's."""
    found = []
    seen = set()
    for row in rows:
        names = row[UCI].split("/")
        if any((row[SECTION], name) in seen for name in names) or not all(
            re.fullmatch("[a-z][a-z0-9_]*", name) for name in names
        ):
            found.append(row[NAME])
        seen |= {(row[SECTION], name) for name in names}
    return found


def _applied_at_once_and_a_key_is_none(rows):
    """What takes a new daemon is told to none that runs."""
    return [row[NAME] for row in rows if row[WHEN] == "start" and row[UAPI] != "-"]


def _not_fixed(rows):
    """Options that take a new daemon, of which a reload would not tell so."""
    return [row[NAME] for row in rows if row[WHEN] == "start" and row[NAME] not in settings.FIXED]


@pytest.mark.parametrize(
    ("forgotten", "columns"),
    [
        (_not_told, {}),
        (_not_added, {}),
        (_not_taken, {}),
        (_not_saved, {}),
        (_not_fixed, {"WHEN": "start", "UAPI": "-"}),
        (_applied_at_once_and_a_key_is_none, {"WHEN": "start"}),
        (_without_uci_name, {"UCI": "-"}),
        (_without_uci_name, {"UCI": "description"}),
        (_without_uci_name, {"UCI": "private_key"}),
        (_without_uci_name, {"UCI": "mtu/Planted"}),
    ],
)
@pytest.mark.parametrize("section", options.SECTIONS)
def test_no_place_forgets_a_row_and_a_planted_one_is_seen(forgotten, columns, section):
    assert forgotten(ROWS) == []
    if columns.get("UCI") in ("description", "private_key"):
        section = "Peer" if columns["UCI"] == "description" else "Interface"
    assert forgotten(planted(section, **columns)) == ["Planted"]


def test_a_sync_compares_every_option_of_a_peer_and_a_planted_one_is_seen():
    assert _not_compared(ROWS) == []
    assert _not_compared(planted("Peer")) == ["Planted"]


# ---- OpenWrt ---------------------------------------------------------------------------------


def _in_guide(rows):
    """Options of the guide's table that are named otherwise in ours."""
    guide = (ROOT / "docs/openwrt.md").read_text().split("| UCI | file |", 1)[1].split("\n\n")[0]
    ours = {name: row[NAME] for row in rows for name in row[UCI].split("/")}
    wrong = []
    for line in guide.splitlines()[2:]:
        uci, names = re.findall("`([^`]*)`", line.split("|")[1]), line.split("|")[2]
        for name in [name.removeprefix("list ").split(" ")[0] for name in uci]:
            if name != "route_allowed_ips" and f"`{ours.get(name)}" not in names:
                wrong.append(name)
    return wrong


def test_the_guide_of_openwrt_names_options_as_the_table_does():
    assert _in_guide(ROWS) == []
    assert _in_guide([row for row in ROWS if row[NAME] != "MTU"]) == ["mtu"]


def _names_of_the_init_script():
    """What the pattern of the sed in tunlite.init matches, in lower case: [Ss] is an s."""
    text = (ROOT / "openwrt/tunlite/files/tunlite.init").read_text()
    (pattern,) = re.findall(r"s/\^\[\[:space:\]\]\*(.*?)\[\[:space:\]\]\*=", text)
    pattern = re.sub(r"\[([A-Z])([a-z])\]", lambda found: found[2], pattern)
    optional, rest = re.fullmatch(r"\\\(([a-z]*)\\\)\\\{0,1\\\}([a-z]*)", pattern).groups()
    return {optional + rest, rest}


def _names_of_the_group(rows, aliases):
    names = {row[NAME].lower() for row in rows if row[UCI] == "unix_group"}
    return names | {alias for _, alias, name in aliases if name in names}


def test_the_init_script_s_sed_knows_every_name_of_the_group_and_a_planted_one_is_seen():
    assert _names_of_the_init_script() == _names_of_the_group(ROWS, options.ALIASES)
    more = (*options.ALIASES, ("Interface", "unixgroup", "socketgroup"))
    assert _names_of_the_init_script() != _names_of_the_group(ROWS, more)
    renamed = [(*row[:NAME], row[NAME].replace("Socket", "Unix"), *row[WHOSE:]) for row in ROWS]
    assert _names_of_the_init_script() != _names_of_the_group(renamed, options.ALIASES)


def test_an_alias_is_read_as_the_option_it_stands_for():
    for section, alias, name in options.ALIASES:
        config = _parse(f"[{section}]\n{alias} = abc\n")
        assert [found.lower() for found in config.interface] == [name]
