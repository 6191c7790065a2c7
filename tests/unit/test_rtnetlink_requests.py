# SPDX-License-Identifier: MIT
"""rtnetlink requests against pyroute2's own messages, and the answers of this kernel."""

import os
import socket
import struct

import pytest
from hypothesis import given, strategies as st
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from tunlite.system import port, rtnetlink, rtnetlink_requests as requests

_V4 = (4, bytes([198, 51, 100, 0]), 24)
_V6 = (6, bytes.fromhex("20010db8") + bytes(12), 64)


def _decoded(kind, request):
    message = kind(requests.finish(request, 9))
    message.decode()
    assert message["header"]["length"] == len(request)
    assert message["header"]["sequence_number"] == 9
    return message


def test_a_request_for_a_link_carries_its_name():
    message = _decoded(ifinfmsg, requests.get_link("wg0"))
    assert message["header"]["type"] == 18
    assert message.get_attr("IFLA_IFNAME") == "wg0"


def test_setting_the_mtu_changes_no_flag():
    message = _decoded(ifinfmsg, requests.link_mtu(7, 1420))
    assert (message["index"], message["flags"], message["change"]) == (7, 0, 0)
    assert message.get_attr("IFLA_MTU") == 1420


def test_a_link_gets_another_name_and_no_address_of_the_kernels():
    message = _decoded(ifinfmsg, requests.link_name(7, "wg0"))
    assert (message["index"], message.get_attr("IFLA_IFNAME")) == (7, "wg0")
    message = _decoded(ifinfmsg, requests.link_no_own_address(7))
    inet6 = message.get_attr("IFLA_AF_SPEC").get_attr("AF_INET6")
    assert inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") == 1


def test_bringing_a_link_up_touches_only_that_flag():
    message = _decoded(ifinfmsg, requests.link_up(7))
    assert (message["flags"], message["change"]) == (1, 1)


@pytest.mark.parametrize("prefix", [_V4, _V6])
def test_an_address_has_its_family_and_prefix(prefix):
    message = _decoded(ifaddrmsg, requests.change_address(7, prefix, delete=False))
    assert message["header"]["type"] == 20
    assert message["header"]["flags"] == 0x1 | 0x4 | 0x200 | 0x400
    assert (message["family"], message["prefixlen"]) == ({4: 2, 6: 10}[prefix[0]], prefix[2])
    text = socket.inet_ntop(message["family"], prefix[1])
    assert message.get_attr("IFA_ADDRESS") == message.get_attr("IFA_LOCAL") == text


@pytest.mark.parametrize("prefix", [_V4, _V6])
@pytest.mark.parametrize("table", [0, 100, 51820])
def test_a_route_names_its_device_and_table(prefix, table):
    message = _decoded(rtmsg, requests.change_route(7, prefix, table, delete=False))
    assert message["dst_len"] == prefix[2]
    assert message["table"] == (table if 0 < table < 256 else 252 if table else 254)
    assert message.get_attr("RTA_TABLE") == (table or 254)
    assert message.get_attr("RTA_OIF") == 7
    assert message["scope"] == (253 if prefix[0] == 4 else 0)


@pytest.mark.parametrize(
    "rule",
    [
        {"table": 51820, "mark": 51820, "invert": True},
        {"table": 254, "suppress_prefixlength": 0},
        {"table": 77, "mark": 3, "invert": False, "priority": 1000},
    ],
)
def test_a_rule_comes_back_as_it_was_written(rule):
    request = requests.change_rule(6, rule, delete=False)
    assert requests.rule_of(request[16:]) == rule
    message = _decoded(fibmsg, request)
    assert message.get_attr("FRA_TABLE") == rule["table"]
    assert message["action"] == 1


def test_an_error_gives_its_errno():
    assert requests.error_of(struct.pack("=i", -17) + bytes(16)) == 17
    assert requests.error_of(bytes(20)) == 0


def _ask(request):
    """Payloads of this kernel's answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        os.write(kernel.fileno(), requests.finish(request, 1))
        while True:
            data = kernel.recv(32768)
            for kind, _, _, at, end in rtnetlink.messages(data):
                if kind == requests.DONE:
                    return
                assert kind != requests.ERROR, requests.error_of(data[at:end])
                yield data[at:end]
                if not requests.is_dump(request):
                    return


def test_this_kernel_understands_the_questions():
    index = socket.if_nametoindex("lo")
    assert [requests.link_of(payload)[0] for payload in _ask(requests.get_link("lo"))] == [index]
    for payload in _ask(requests.get_routes(4)):
        requests.route_of(payload)


@given(st.binary(min_size=12, max_size=200))
def test_no_attributes_make_a_parser_raise_or_hang(payload):
    requests.route_of(payload)
    requests.rule_of(payload)


def test_a_question_for_a_route_carries_mark_and_source():
    message = _decoded(rtmsg, requests.get_route(4, bytes([192, 0, 2, 1]), 7, bytes([10, 0, 0, 1])))
    assert (message["dst_len"], message["src_len"]) == (32, 32)
    assert message.get_attr("RTA_MARK") == 7
    assert message.get_attr("RTA_SRC") == "10.0.0.1"
    plain = _decoded(rtmsg, requests.get_route(4, bytes([192, 0, 2, 1]), 0))
    assert plain["src_len"] == 0 and plain.get_attr("RTA_SRC") is None


def test_a_link_tells_its_master_and_what_it_sends_through():
    def link(*rows):
        body = struct.pack("=BBHiII", 0, 0, 1, 9, 0, 0)
        for number, value in rows:
            body += struct.pack("=HHI", 8, number, value)
        return body

    assert requests.layers_of(link()) == (9, 0, 0)
    assert requests.layers_of(link((5, 3), (10, 4))) == (9, 4, 3)
    assert requests.layers_of(link((5, 3), (37, 0))) == (9, 0, 0), "in another namespace"


def test_above_a_hard_interface_are_its_bat0_and_all_that_stands_on_that(monkeypatch):
    mesh0, bat0, vlan, bridge, other, wan = range(7, 13)
    rows = [(bridge, 0, 0), (vlan, bridge, bat0), (bat0, 0, 0), (mesh0, bat0, 0)]
    rows += [(other, bat0, 0), (wan, 0, 0)]  # another hard interface of it is below
    monkeypatch.setattr(type(port.links), "_answers", lambda links, request: rows)
    monkeypatch.setattr(requests, "layers_of", lambda row: row)
    assert port.links.above(mesh0) == {mesh0, bat0, vlan, bridge}


def test_the_addresses_of_a_link_are_told_with_their_scope():
    """Of this machine's loopback."""
    links = port.links
    rows = links.addresses(links.link_get("lo")[0])
    assert (bytes([127, 0, 0, 1]), 8, 254, 0x80) in rows
    assert links.addresses(0x7FFFFFFF) == []


def test_an_address_of_a_point_to_point_link_is_our_end():
    message = requests.change_address(7, _V4, delete=False)[16:]
    other = struct.pack("=HH4s", 8, 1, bytes([9, 9, 9, 9]))
    flags = struct.pack("=HHI", 8, 8, 0x140)
    payload = message[:16] + other + flags
    assert requests.address_of(payload) == (7, (_V4[1], 24, 0, 0x140))


def test_a_default_route_and_an_address_of_ours_are_a_new_way_and_others_are_not():
    def head(bits, kind):
        return struct.pack("=BBBBBBBBI", 2, bits, 0, 0, 254, 3, 0, kind, 0)

    assert rtnetlink.is_new_way([head(24, 1), head(0, 1)])
    assert rtnetlink.is_new_way([head(32, 2)])
    assert not rtnetlink.is_new_way([head(24, 1), b"\2", b""])
    assert not rtnetlink.is_new_way(())


def test_a_link_tells_its_ethernet_address_where_it_has_one():
    def link(*rows):
        body = struct.pack("=BBHiII", 0, 0, 1, 9, 0, 0)
        for number, value in rows:
            padded = value + bytes(-len(value) % 4)
            body += struct.pack("=HH", 4 + len(value), number) + padded
        return body

    name, mac = (3, b"mesh0\0"), (1, b"\2\0\0\0\0\7")
    assert requests.ethernet_of(link(name, mac)) == b"\2\0\0\0\0\7"
    for nothing in (link(name), link((1, b"")), link((1, bytes(8))), link((1, bytes(20)))):
        assert requests.ethernet_of(nothing) is None
    assert requests.ethernet_of(next(_ask(requests.get_link("lo")))) == bytes(6)
