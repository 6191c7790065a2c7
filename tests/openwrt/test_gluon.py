# SPDX-License-Identifier: MIT
"""gluon-mesh-vpn-tunlite: provider, upgrade script and check_site.lua, by lua5.1 on stand-ins of
Gluon's modules; what they write is made a file by the handler's own script, which passes check."""

import base64
import copy
import hashlib
import ipaddress
import re
import stat

import pytest

from lab.openwrt.gluon.node import PACKAGE, Node, lua
from lab.peers import Keys, tunlite_program
from tunlite.config import vxlan

SEED = "4" * 64
GATEWAYS = {name: Keys() for name in ("gw1", "gw2")}


def peers(count=2):
    return {
        name: {"public_key": keys.public, "endpoint": f"{name}.example.org:51820"}
        for name, keys in list(GATEWAYS.items())[:count]
    }


def site(count=2, **tunlite):
    """A site.conf of layer 2, or of what the options say."""
    layer2 = {"layer": 2, "mtu": 1532, "encryption": ["authentic", "on"]}
    base = layer2 if "layer" not in tunlite else {}
    return {
        "domain_seed": SEED,
        "mesh_vpn": {"tunlite": {**base, "peers": peers(count), **tunlite}},
    }


VXLAN = {
    "gluon": site(layer=3, mtu=1350),
    "munich": site(1, layer=3, mtu=1350, dialect="munich"),
    "hannover": site(layer=3, mtu=1350, dialect="hannover", vni=4711, port=4790),
}
WAYS = {"layer 2": site(), **VXLAN}


@pytest.fixture
def node(tmp_path):
    """node(site): a node with that site.conf and no configuration yet."""

    def make(conf):
        return Node(tmp_path / "root", tunlite_program(tmp_path), conf)

    return make


def address_of(public, end=""):
    digest = hashlib.md5((public + end).encode()).hexdigest()
    return "fe80::2{}:{}ff:fe{}:{}{}".format(*re.findall("..", digest)[:5])


def checked(made):
    """What `tunlite check` says of the file of wg_mesh."""
    text = f"umask 077; config_load network; tunlite_config wg_mesh >{made.root}/file\n"
    done = made.sh(text + f"tunlite_check wg_mesh {made.root}/file", check=False)
    return done.returncode, done.stdout + done.stderr


# ---- the provider ----------------------------------------------------------------------------


def test_the_provider_offers_exactly_what_gluon_calls_and_is_found_by_its_marker(node):
    made = node(site())
    offered = "local names = {} for name in pairs(require('gluon.mesh-vpn.provider.tunlite')) do"
    said = made.lua(offered + " names[#names + 1] = name end print(table.concat(names, ' '))")
    called = {"active", "mtu", "public_key", "enable", "set_limit", "pubkey_privacy"}
    assert set(said.stdout.split()) == called
    assert (PACKAGE / "files/lib/gluon/mesh-vpn/provider/tunlite").read_bytes() == b""
    said = made.lua("print((require('gluon.mesh-vpn').get_active_provider()))")
    assert said.stdout == "tunlite\n"


def test_it_is_active_only_where_the_site_has_its_table_and_tells_the_site_s_mtu(node):
    made = node(site())
    assert (made.provider("active()"), made.provider("mtu()")) == ("true", "1532")
    made.write_site({"domain_seed": SEED, "mesh_vpn": {"fastd": {}}})
    assert made.provider("active()") == "false"
    made.write_site({"domain_seed": SEED})
    assert made.provider("active()") == "false"


def test_the_public_key_is_shown_only_where_the_site_says_so(node):
    made = node(site())
    assert made.provider("pubkey_privacy()") == "true"
    for wanted in (False, True):
        conf = site()
        conf["mesh_vpn"]["pubkey_privacy"] = wanted
        made.write_site(conf)
        assert made.provider("pubkey_privacy()") == str(wanted).lower()


def test_the_public_key_is_that_of_the_section_and_nil_where_there_is_none(node):
    made, keys = node(site()), Keys()
    assert made.provider("public_key()") == "nil"
    made.write([("interface", "wg_mesh", {"private_key": "generate"})])
    assert made.provider("public_key()") == "nil"
    made.write([("interface", "wg_mesh", {"private_key": keys.private})])
    assert made.provider("public_key()") == keys.public


def test_enable_saves_and_never_commits(node):
    made = node(site())
    made.write([("interface", "wg_mesh", {})])
    before = (made.root / "etc/config/network").read_text()
    for wanted, disabled in (("true", "0"), ("false", "1")):
        made.provider(f"enable({wanted})")
        assert made.uci()["wg_mesh"]["disabled"] == disabled
    assert (made.root / "etc/config/network").read_text() == before


def test_limits_are_simple_tc_s_and_nil_removes_them(node):
    made = node(site())
    made.provider("set_limit('12000', '1200')")
    assert made.uci("simple-tc") == {
        "mesh_vpn": {
            **{".type": "interface", "ifname": "mesh-vpn", "enabled": "1"},
            **{"limit_ingress": "12000", "limit_egress": "1200"},
        }
    }
    made.provider("set_limit(nil, nil)")
    assert made.uci("simple-tc") == {}


# ---- 400-mesh-vpn-tunlite --------------------------------------------------------------------


def test_layer_2_is_a_device_mesh_vpn_of_tunlite_s_own_and_gateways_one_group(node):
    made = node(site())
    made.sysupgrade()
    network = made.uci()
    interface = network["wg_mesh"]
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", interface.pop("private_key"))
    assert interface == {
        **{".type": "interface", "proto": "tunlite", "tunnel_device": "mesh-vpn", "fwmark": "1"},
        **{"unix_group": "gluon-mesh-vpn", "mtu": "1532", "disabled": "1"},
        **{"layer": "2", "encryption": "authentic,on"},
    }
    assert network["mesh_vpn_backbone"] == {
        **{".type": "tunlite_group", "interface": "wg_mesh", "name": "backbone"},
        **{"limit": "1", "choose": "random", "fail_after": "5"},
    }
    assert network["mesh_vpn_gw1"] == {
        **{".type": "tunlite_wg_mesh", "description": "gw1", "group": "backbone"},
        **{"public_key": GATEWAYS["gw1"].public, "persistent_keepalive": "25"},
        **{"endpoint_host": ["gw1.example.org:51820"]},
    }
    assert network["mesh_vpn"]["mtu"] == "1532"


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_out_of_uci_passes_check_and_has_every_gateway(node, way):
    made = node(WAYS[way])
    made.sysupgrade()
    assert checked(made) == (0, "")
    file = made.file()
    for name in WAYS[way]["mesh_vpn"]["tunlite"]["peers"]:
        assert f"Endpoint = {name}.example.org:51820" in file
    assert "FwMark = 1" in file and "SocketGroup = gluon-mesh-vpn" in file
    assert "Limit = 1" in file and "FailAfter = 5" in file


def test_the_vxlan_of_gluon_has_the_domain_s_seed_and_one_address_for_all_gateways(node):
    made = node(VXLAN["gluon"])
    made.sysupgrade()
    network = made.uci()
    interface = network["wg_mesh"]
    assert (interface["encapsulation"], interface["vxlan_dialect"]) == ("vxlan", "gluon")
    assert interface["vni"] == SEED and "vxlan_port" not in interface and "layer" not in interface
    assert network["mesh_vpn_backbone"]["probe_address"] == "fe80::1"
    for name in ("mesh_vpn_gw1", "mesh_vpn_gw2"):
        assert network[name]["allowed_ips"] == ["fe80::1/128"]
        assert "probe_address" not in network[name]


def test_the_vxlan_of_munich_has_the_gateway_s_own_address(node):
    made = node(VXLAN["munich"])
    made.sysupgrade()
    network = made.uci()
    gateway = address_of(GATEWAYS["gw1"].public, "\n")
    ours = vxlan.address_of(base64.b64decode(GATEWAYS["gw1"].public), b"\n")
    assert ipaddress.ip_address(ours) == ipaddress.ip_address(gateway)
    assert network["wg_mesh"]["vxlan_dialect"] == "munich"
    assert network["mesh_vpn_gw1"]["allowed_ips"] == [gateway + "/128"]
    assert network["mesh_vpn_gw1"]["probe_address"] == gateway
    assert "probe_address" not in network["mesh_vpn_backbone"]


def test_the_vxlan_of_hannover_is_plain_with_our_address_made_of_our_key(node):
    made = node(VXLAN["hannover"])
    made.sysupgrade()
    interface = made.uci()["wg_mesh"]
    assert interface["vxlan_dialect"] == "plain"
    assert (interface["vni"], interface["vxlan_port"]) == ("4711", "4790")
    assert interface["vxlan_local"] == address_of(made.provider("public_key()"))
    assert interface["vxlan_remote"] == "fe80::1"


def test_a_second_run_and_a_second_sysupgrade_change_nothing(node):
    for way in WAYS.values():
        made = node(way)
        made.sysupgrade()
        first = made.uci()
        made.upgrade()
        made.commit()
        assert made.uci() == first
        made.sysupgrade()
        assert made.uci() == first
        for path in sorted(made.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        made.root.rmdir()


def test_run_by_itself_it_leaves_the_vpn_on_or_off_as_it_was(node):
    made = node(site())
    made.sysupgrade()
    for disabled in ("1", "0"):
        made.provider(f"enable({'true' if disabled == '0' else 'false'})")
        made.upgrade("400-mesh-vpn-tunlite")
        assert made.uci()["wg_mesh"]["disabled"] == disabled


def test_gateways_stand_in_the_order_of_their_names_for_choose_order(node):
    conf = site(1, choose="order", layer=2, mtu=1532)
    names = [f"gw{letter}" for letter in "aqzbyc"]
    table = conf["mesh_vpn"]["tunlite"]
    table["peers"] = {n: {**table["peers"]["gw1"], "public_key": Keys().public} for n in names}
    made = node(conf)
    made.sysupgrade()
    found = re.findall("^Description = (.*)$", made.file(), re.MULTILINE)
    assert found == sorted(names) and "Choose = order" in made.file()
    assert checked(made) == (0, "")


def test_another_way_leaves_nothing_of_the_one_before(node):
    made = node(VXLAN["hannover"])
    made.sysupgrade()
    key = made.uci()["wg_mesh"]["private_key"]
    made.write_site(site(1))
    made.upgrade()
    made.commit()
    network = made.uci()
    assert "mesh_vpn_gw2" not in network and network["wg_mesh"]["private_key"] == key
    assert not [name for name in network["wg_mesh"] if name.startswith(("vxlan", "vni", "encap"))]
    assert checked(made) == (0, "")


def test_it_returns_early_where_another_provider_is_the_active_one(node):
    made = node({"domain_seed": SEED, "mesh_vpn": {"fastd": {}}})
    made.upgrade("400-mesh-vpn-tunlite")
    assert not (made.root / "tmp/.uci").exists()
    # Both: the first by name wins, and two of them would make one device.
    made.write_site({**site(), "mesh_vpn": {**site()["mesh_vpn"], "fastd": {}}})
    made.install("lib/gluon/mesh-vpn/provider/fastd", "")
    other = "return { active = function() return true end }"
    made.install("usr/lib/lua/gluon/mesh-vpn/provider/fastd.lua", other)
    made.upgrade("400-mesh-vpn-tunlite")
    assert not (made.root / "tmp/.uci").exists()


# ---- keys ------------------------------------------------------------------------------------


def test_wireguard_s_key_is_taken_over_and_is_there_for_the_way_back(node):
    made, keys = node(site()), Keys()
    old = {"proto": "wireguard", "fwmark": "1", "private_key": keys.private}
    made.write([("interface", "wg_mesh", old)])
    made.sysupgrade()
    assert made.provider("public_key()") == keys.public
    # What 400-mesh-vpn-wireguard of an earlier firmware looks for, after its own sysupgrade.
    assert made.uci()["wg_mesh"]["private_key"] == keys.private


def test_fastd_s_secret_becomes_the_same_key_in_base64(node):
    made, keys = node(site()), Keys()
    secret = base64.b64decode(keys.private).hex()
    made.write([("fastd", "mesh_vpn", {"secret": secret})], "fastd")
    made.sysupgrade()
    assert made.uci()["wg_mesh"]["private_key"] == keys.private
    assert made.provider("public_key()") == keys.public
    assert made.uci("fastd")["mesh_vpn"]["secret"] == secret  # for the way back


def test_wireguard_s_key_goes_before_fastd_s_and_neither_is_taken_where_it_is_none(node):
    made, keys = node(site()), Keys()
    made.write([("fastd", "mesh_vpn", {"secret": "ab" * 32})], "fastd")
    made.write([("interface", "wg_mesh", {"private_key": keys.private})])
    made.sysupgrade()
    assert made.uci()["wg_mesh"]["private_key"] == keys.private
    for secret in ("generate", "ab" * 31, "ab" * 33, "x" * 64):
        made.write([("fastd", "mesh_vpn", {"secret": secret})], "fastd")
        made.write([("interface", "wg_mesh", {"private_key": keys.private[:-2] + "B="})])
        made.sysupgrade()
        key = made.uci()["wg_mesh"]["private_key"]
        assert len(base64.b64decode(key, validate=True)) == 32
        assert base64.b64decode(key).hex() not in secret and key[:42] != keys.private[:42]


def test_where_no_key_can_be_made_the_handler_is_to_make_it(node):
    made = node(site())
    made.install("usr/sbin/tunlite", "#!/bin/sh\nexit 1\n")
    made.upgrade("400-mesh-vpn-tunlite")
    assert made.uci()["wg_mesh"]["private_key"] == "generate"


def test_no_key_is_an_argument_of_a_program(node, tmp_path):
    made, keys = node(VXLAN["hannover"]), Keys()
    made.write([("interface", "wg_mesh", {"private_key": keys.private})])
    for name in ("md5sum", "tunlite", "uci"):
        path = made.root / ("sbin/uci" if name == "uci" else f"usr/sbin/{name}")
        if path.exists():
            path.rename(f"{path}.real")
        command = f'"{path}.real"' if name != "md5sum" else "/usr/bin/md5sum"
        said = f'printf "%s\\n" "$0 $*" >>{tmp_path}/said\nexec {command} "$@"\n'
        path.write_text(f"#!/bin/sh\n{said}")
        path.chmod(0o755)
    made.sysupgrade()
    said = (tmp_path / "said").read_text()
    assert "pubkey" in said and "md5sum" in said and "get network.wg_mesh" in said
    assert keys.private not in said


def test_what_was_saved_is_readable_by_root_alone(node):
    made = node(site())
    made.upgrade("400-mesh-vpn-tunlite")
    mode = (made.root / "tmp/.uci/network").stat().st_mode
    assert stat.S_IMODE(mode) & 0o077 == 0


# ---- endpoints -------------------------------------------------------------------------------


def test_a_gateway_may_have_several_endpoints_names_and_addresses(node):
    conf = site(1)
    where = ["gw1.example.org:10001", "192.0.2.1:10001", "[2001:db8::1]:10001"]
    conf["mesh_vpn"]["tunlite"]["peers"]["gw1"]["endpoint"] = where
    made = node(conf)
    assert made.check_site() == ""
    made.sysupgrade()
    assert "Endpoint = " + ", ".join(where) + "\n" in made.file()
    assert checked(made) == (0, "")


# ---- check_site.lua --------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_right_site_is_taken(node, way):
    assert node(WAYS[way]).check_site() == ""


def _wrong(**tunlite):
    conf = site(**{k: v for k, v in tunlite.items() if k == "layer"})
    conf["mesh_vpn"]["tunlite"].update(tunlite)
    return conf


def _without(name):
    conf = copy.deepcopy(site())
    del conf["mesh_vpn"]["tunlite"][name]
    return conf


def _peer(**peer):
    conf = copy.deepcopy(site())
    conf["mesh_vpn"]["tunlite"]["peers"]["gw1"].update(peer)
    return conf


_KEY = GATEWAYS["gw1"].public
_WRONG = {
    "no table": ({"mesh_vpn": {}}, "mesh_vpn.tunlite to be a table"),
    "no peers": (_without("peers"), "mesh_vpn.tunlite.peers to be a table"),
    "no gateway": (_wrong(peers={}), "peers to have a gateway"),
    "no mtu": (_without("mtu"), "mesh_vpn.tunlite.mtu to be a number"),
    "no layer": (_without("layer"), "mesh_vpn.tunlite.layer to be one of 2, 3"),
    "another layer": (_wrong(layer=4, mtu=1400), "mesh_vpn.tunlite.layer"),
    "a text for mtu": (_wrong(mtu="1532"), "mesh_vpn.tunlite.mtu to be a number"),
    "mtu too small": (_wrong(mtu=1279), "be in range"),
    "mtu too long": (_wrong(mtu=9563), "be in range"),
    "another mode": (_wrong(encryption="none"), "mesh_vpn.tunlite.encryption"),
    "another mode in a list": (_wrong(encryption=["on", "null"]), "encryption.2"),
    "modes on layer 3": (_wrong(layer=3, mtu=1350, encryption="off"), "encryption"),
    "a dialect on layer 2": (_wrong(dialect="gluon"), "dialect to be absent on layer 2"),
    "another dialect": (_wrong(layer=3, mtu=1350, dialect="plain"), "tunlite.dialect"),
    "hannover without its number": (_wrong(layer=3, mtu=1350, dialect="hannover"), "tunlite.vni"),
    "a number too large": (_wrong(layer=3, mtu=1350, vni=1 << 24), "be in range"),
    "two gateways of munich": (_wrong(layer=3, mtu=1350, dialect="munich"), "have one peer"),
    "a key too short": (_peer(public_key=_KEY[1:]), "peers.gw1.public_key"),
    "a key with bits too many": (_peer(public_key=_KEY[:42] + "B="), "peers.gw1.public_key"),
    "an endpoint without a port": (_peer(endpoint="gw1.example.org"), "peers.gw1.endpoint"),
    "an endpoint of two lines": (_peer(endpoint="gw1\nx:1"), "peers.gw1.endpoint"),
    "another choice": (_wrong(choose="first"), "tunlite.choose"),
    "fastd beside it": ({"mesh_vpn": {**site()["mesh_vpn"], "fastd": {}}}, "fastd to be absent"),
}


@pytest.mark.parametrize("case", _WRONG)
def test_a_wrong_site_is_refused_with_the_name_of_what_is_wrong(node, case):
    conf, said = _WRONG[case]
    assert said in node({"domain_seed": SEED, **conf}).check_site()


def test_a_peer_s_name_is_of_letters_digits_and_underscores(node):
    conf = site(1)
    names = conf["mesh_vpn"]["tunlite"]["peers"]
    names["gw-2"] = names["gw1"]
    assert "letters, digits and underscores" in node(conf).check_site()


def test_domains_may_have_other_providers_and_peers_of_their_own(node):
    conf = site()
    own = conf["mesh_vpn"].pop("tunlite")
    made = node(conf)
    domains = made.root / "lib/gluon/domains"
    domains.mkdir()

    def write(name, mesh_vpn):
        (domains / f"{name}.conf").write_text(lua({"mesh_vpn": mesh_vpn}))

    write("one", {"tunlite": own})
    write("two", {"fastd": {"groups": {}}})
    assert made.check_site() == ""
    write("two", {})
    assert "mesh_vpn.tunlite to be a table" in made.check_site()
    write("two", {"tunlite": own})
    made.write_site({"mesh_vpn": {"tunlite": own}})
    assert "domain configuration only" in made.check_site()
