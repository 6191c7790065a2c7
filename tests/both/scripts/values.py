# SPDX-License-Identifier: MIT
"""Addresses, keys and configuration files, good and bad."""

from binascii import hexlify

from tunlite import addresses, endpoints, keys, log
from tunlite.config import as_uapi, files, parser, secret_text

for text in (
    "10.1.2.3", "255.255.255.255", "1.2.3", "1.2.3.256", "01.2.3.4", "::", "::1", "2001:db8::1",
    "fe80::1%eth0", "1:2:3:4:5:6:7:8", "1::2::3", "::ffff:1.2.3.4", "g::", "", "1:2:3:4:5:6:7:8:9",
):  # fmt: skip
    try:
        family, packed = addresses.parse_address(text)
        print(text, family, hexlify(packed).decode(), addresses.format_address(family, packed))
    except ValueError as e:
        print(text, "refused", e.args)
for text in ("10.0.0.0/8", "10.0.0.1", "::/0", "2001:db8::/129", "1.2.3.4/33", "1.2.3.4/x"):
    try:
        prefix = addresses.parse_prefix(text)
        print(text, addresses.format_prefix(addresses.network(prefix)))
    except ValueError as e:
        print(text, "refused", e.args)
for text in ("example.org:51820", "1.2.3.4:1", "[2001:db8::1]:65535", "[::1]", "a:0", "a:70000"):
    try:
        print(text, endpoints.split(text), endpoints.literal(text))
    except ValueError as e:
        print(text, "refused", e.args)

key = bytes(range(32))
print(bytes(keys.encode(key)), bytes(keys.decode(keys.encode(key))) == key)
print(hexlify(bytes(keys.public_of(bytearray(key)))).decode())

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
GOOD = """
[Interface]
PrivateKey = {}
ListenPort = 51820
Address = 10.77.0.1/24, fd77::1/64
MTU = 1420
[Peer]
PublicKey = {} # a comment
AllowedIPs = 10.77.0.2/32, fd77::2/128
Endpoint = 192.0.2.1:51820
Endpoint = gw.example:51820, [2001:db8::1]:51820
PersistentKeepalive = 25
""".format(PRIVATE, PUBLIC)
BAD = """
[Interface]
Us\u00e9r = caf\u00e9
User = caf\u00e9
Group = \u00b2
DNS = caf\u00e9.lan
DNS = \u00a0lan
Offloads = udp_gso , \u00a0udp_gro,off \t,z,y
Address = \u00a010.0.0.1
User = \u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9
PrivateKey = short
ListenPort = 70000
MTU = many
PrivatKey = x
[Peers]
[Peer]
AllowedIPs = 10.0.0.0/33
Endpoint = nowhere
Endpoint = a:1, b
stray
"""
ODD = """
[ Interface ]
Private Key = yAnz5TF+lXXJte14 tji3zlMNq+hd2rYUIgJBgB3fBmk=
ListenPort = 1
ListenPort = 51 820
FwMark = 010
Address = 10.77.0.1/255.255.255.0 fd77::1/64
MTU = 500
Table = 0x4d2
DNS = 9.9.9.9 ~corp.example,fe80::1%eth0
DNS =
PreUp =
[Peer]
PublicKey = {0}
PresharedKey = {1}
AllowedIPs = 10.77.0.2/32
Endpoint = 2001:db8::9:051820
[Peer]
PublicKey = {0}
AllowedIPs = 10.77.0.3 / 32
PersistentKeepalive = 2 5
""".format(PUBLIC, PRIVATE)
for name in ("wg0", "a.b-c_d=e+", "caf\u00e9", "\u00b2", "a b", "", "..", "x" * 16):
    try:
        print(name.encode(), files.check_name(name))
    except files.BadName:
        print(name.encode(), "refused")
for label, text in (("good", GOOD), ("bad", BAD), ("odd", ODD), ("empty", "")):
    found = parser.parse(secret_text.Text([bytearray(text.encode())]), label)
    print(label, sorted(found.interface), len(found.peers))
    for line in found.lines_of(found.errors) + found.lines_of(found.warnings):
        print(line)
    if not found.errors:
        for piece in as_uapi.whole(found):
            print(bytes(piece).decode())

lines = []
log.Log("t", log.INFO, int, lines.append).error("Grüße\tan\n\x1b[0m\x7f\x9b€")
print(lines[0])
