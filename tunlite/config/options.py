# SPDX-License-Identifier: MIT
"""The one table of what may stand in a configuration file.

docs/config.md, `tunlite check` and the defaults (settings.py) come from it, and so does what a
reload cannot change, what a running daemon can be told and what SaveConfig writes; a test fails
where one of them leaves a row out. A row:

name     as it is written in a file
whose    wg and wg-quick know their own; tunlite's have to go before they get the file
kind     how its value is read (values.py); it says whether that is a list, or a secret
default  as text; "none": an empty list, or nothing; "required": there is none
when     now: up and reload apply it; start: it takes a new daemon
UAPI     its key in the daemon's text; - where the daemon is not told, or only at its start
UCI      its name in OpenWrt's files; WireGuard's own, where that has one
help     the line below
"""

SECTION = 0
NAME = 1
WHOSE = 2
KIND = 3
DEFAULT = 4
WHEN = 5
UAPI = 6
UCI = 7
HELP = 8

SECTIONS = ("Interface", "Group", "Peer")

_TABLE = """
[Interface]
PrivateKey wg secret none now private_key private_key
 our private key, base64; tunlite genkey makes one
ListenPort wg port 0 now listen_port listen_port
 UDP port, 0 for any
FwMark wg mark off now fwmark fwmark
 mark of our UDP packets: a number, 0x and hex digits, or off
Address wg-quick prefixes none now - addresses
 addresses of the interface, separated by commas or blanks
MTU wg-quick mtu auto now - mtu
 bytes of an inside packet; auto: the way to the endpoints, less 80; on layer 2 1500
Table wg-quick table auto now - table
 where routes to the allowed IPs go: auto, off or a table's number
DNS wg-quick dns none now - dns
 name servers and search domains, given to resolvconf
PreUp wg-quick hook none now - pre_up
 command before the interface is set up; %i is its name
PostUp wg-quick hook none now - post_up
 command after the interface was set up
PreDown wg-quick hook none now - pre_down
 command before the interface is taken down
PostDown wg-quick hook none now - post_down
 command after the interface was taken down
OnEstablish tunlite hook none now - on_establish
 command when a peer is established; a rekey is no such event
OnDisestablish tunlite hook none now - on_disestablish
 command when a peer is established no longer
Peers tunlite folder none now - peers
 folder with one file a peer, each a [Peer], read again when it changes
OnVerify tunlite hook none now - on_verify
 command that is asked whether a stranger may come: yes, if it ends with 0
PeerLimit tunlite count off now peer_limit peer_limit
 how many peers may be established at once, or off
Encryption tunlite modes on now encryption encryption
 on, authentic or off; a list: the first is asked for, all are taken; layer 3: on
PathMTU tunlite path_mtu auto now path_mtu path_mtu
 layer 2: bytes of an outer IP packet on the way to each peer; auto: probes measure it
SaveConfig wg-quick bool false now - save_config
 whether down writes what runs back into the file
Engine tunlite engine auto start - engine
 how packets are read and written; tunlite probe lists them
AEAD tunlite aead auto start - aead
 implementation of ChaCha20-Poly1305; tunlite probe lists them
Offloads tunlite features auto start - offloads
 offloads to leave off, separated by commas, or off for all
Batch tunlite batch auto start - batch
 most packets in one turn, 1 to 256
Memory tunlite memory auto start - memory
 bound of the packet buffers: bytes, or with K or M
Workers tunlite workers auto start - workers
 threads that turn packets, 1 to 8; auto: 1
RingSlots tunlite slots auto start - ring_slots
 io_uring: buffers that wait, and after a comma sends at once; 1 to 64
RekeyAfter tunlite rekey 120 start - rekey_after
 age in seconds at which a session is replaced, 5 to 120
User tunlite word root start - user
 user that the daemon becomes after set-up
SocketGroup tunlite word auto start - unix_group
 group that may use the daemon's socket and is the daemon's; auto: none
StatusSocket tunlite socket none start - status_socket
 another read-only socket that tells the status, in fastd's words
HideAddresses tunlite switch off start - hide_addresses
 on: addresses outside the tunnel and MACs stand in no log, status or metric
StateDir tunlite folder /var/lib/tunlite start - state_dir
 folder of the clock's mark; OpenWrt: /etc/tunlite-state
Layer tunlite layer 3 start - layer
 3: IP packets, as every WireGuard; 2: Ethernet frames, with tunlite alone
ForwardPeers tunlite switch off start - forward_peers
 layer 2: on: frames of one peer go on to others too, not to this device alone
Encapsulation tunlite encapsulation none start - encapsulation
 vxlan: the device has Ethernet frames, which go in a VXLAN to a gateway of WireGuard and vxlan
VNI tunlite vni none start - vni
 vxlan: its number, or a Gluon site's domain_seed, 64 hex digits
VXLANDialect tunlite dialect gluon start - vxlan_dialect
 vxlan: gluon, munich or plain: how its port, checksums and addresses are chosen
VXLANPort tunlite vxlan_port auto start - vxlan_port
 vxlan: its UDP port inside the tunnel; auto: 4789, of munich 8472
VXLANLocal tunlite address none start - vxlan_local
 vxlan: our address inside the tunnel; of gluon and munich made from our key
VXLANRemote tunlite address none start - vxlan_remote
 vxlan: the gateway's; of gluon fe80::1, of munich made from the peer's key
[Group]
Name tunlite name required now group_name name
 what its members' Group says: letters, digits, - _ .
RateIn tunlite rate none now group_rate_in rate_in
 RateIn of each member that has none of its own
RateOut tunlite rate none now group_rate_out rate_out
 RateOut of each member that has none of its own
Limit tunlite limit none now group_limit limit
 how many members are used at once: 1; on layer 3 they may share AllowedIPs
Choose tunlite choose random now group_choose choose
 with Limit, which one: order, random or nearest
FailAfter tunlite seconds 5 now group_fail_after fail_after
 with Limit, seconds of silence until another is used; 5 at least if none answers ProbeAddress
ProbeAddress tunlite address none now group_probe_address probe_address
 layer 3: inside address that every member answers pings at: asked while one is silent
HealthCommand tunlite hook none now group_health health_command
 with Limit, run each 10 s for the member in use; three failures, and another is used
PeerLimit tunlite count off now group_peer_limit peer_limit
 how many members may be established at once, or off
Encryption tunlite modes none now group_encryption encryption
 Encryption of each member that has none of its own
[Peer]
PublicKey wg public required now public_key public_key
 the peer's public key, base64
PresharedKey wg secret none now preshared_key preshared_key
 a secret of both ends, base64; tunlite genpsk makes one
AllowedIPs wg allowed none now allowed_ip allowed_ips
 prefixes sent to this peer and accepted from it
Endpoint wg endpoint none now endpoint endpoint_host/endpoint_port
 host:port or [IPv6 address]:port, up to 16 with commas; names are resolved while it runs
PersistentKeepalive wg keepalive off now persistent_keepalive_interval persistent_keepalive
 seconds between packets that keep a NAT open, or off
Description tunlite text none now description description
 a name for people
Lifetime tunlite lifetime off now lifetime lifetime
 seconds until the peer goes, or off; of OnVerify's answer: until it is asked again
Group tunlite name none now group group
 Name of the [Group] that it is a member of
RateIn tunlite rate none now rate_in rate_in
 most bits a second inside from this peer, with K, M or G, or off
RateOut tunlite rate none now rate_out rate_out
 the same to this peer
ProbeAddress tunlite address none now probe_address probe_address
 as in [Group], of this member alone
HealthAddress tunlite address none now health_address health_address
 what HealthCommand finds in $HEALTH_ADDRESS
Encryption tunlite modes none now encryption encryption
 as in [Interface], of this peer alone
MACs tunlite macs none now macs macs
 layer 2: Ethernet addresses that are behind this peer and nowhere else, up to 32
"""

# What the runner of commands does (host/runner.py), of [Interface] and [Group].
RUN_BY_ROOT = ("OnEstablish", "OnDisestablish", "OnVerify", "Peers", "HealthCommand")

ALIASES = (("Interface", "group", "socketgroup"),)  # as 0.1.0 wrote it; in lower case


def rows():
    """Tuples of text, in the table's order."""
    section = ""
    row = []
    for line in _TABLE.split("\n"):
        if line.startswith("["):
            section = line[1:-1]
        elif line.startswith(" "):
            yield (section,) + tuple(row) + (line[1:],)
        else:
            row = line.split(" ")


def names(section, column=SECTION, text=None):
    """The options of a section, or those of them that have this text in a column."""
    text = text or section
    return [row[NAME] for row in rows() if row[SECTION] == section and row[column] == text]


def told(section):
    """The options that a running daemon is told."""
    return [row[NAME] for row in rows() if row[SECTION] == section and row[UAPI] != "-"]
