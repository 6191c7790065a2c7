#!/bin/sh
# SPDX-License-Identifier: MIT
# The two routers of qemu/mesh_test.py, and a node behind the second: one machine, a namespace each.
# The routers know the gateways and not each other, so that all between them goes by batman-adv of a
# gateway.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh

VLAN=5
NODE=10.8.0.9
NODE_TAGGED=10.8.5.9

# plug NAMESPACE BRIDGE NAMESPACE DEVICE: a wire from a bridge to a device that is made.
plug() {
    ip netns exec "$1" /bin/ip link add "to-$3" type veth peer name "$4" netns "$3"
    ip -n "$1" link set "to-$3" master "$2"
    ip -n "$1" link set "to-$3" up
    ip -n "$3" link set "$4" up
}

# router NAME NUMBER MODE
router() {
    ip netns add "$1"
    plug wires outside "$1" wire0
    ip -n "$1" addr add "10.78.0.$2/24" dev wire0
    conf_ether "/tmp/$1.conf" "$2" "" "$3"
    for gateway in 1 2; do
        conf_peer "/tmp/$1.conf" "$gateway" "" "10.78.0.$gateway:51820"
    done
    tunlite_up "$1" "mesh-$1" "/tmp/$1.conf" || fail "$1-up" "the daemon did not come up"
    bat "$1" "mesh-$1" "$2"
}

# tagged NAMESPACE DEVICE: a VLAN on it.
tagged() {
    ip -n "$1" link add link "$2" name "$2.$VLAN" type vlan id "$VLAN"
    ip -n "$1" link set "$2.$VLAN" up
}

# A bridge of its own at far: batman-adv carries the VLANs that it has devices of.
build_vlan() {
    tagged near bat0
    ip -n near addr add 10.8.5.3/24 dev "bat0.$VLAN"
    tagged node lan0
    ip -n node addr add "$NODE_TAGGED/24" dev "lan0.$VLAN"
    ip -n far link add lan-tagged type bridge
    ip -n far link set lan-tagged up
    for port in bat0 to-node; do
        tagged far "$port"
        ip -n far link set "$port.$VLAN" master lan-tagged
    done
}

build() {
    ip netns add wires
    ip link set eth0 netns wires
    ip -n wires link add outside type bridge
    ip -n wires link set eth0 master outside
    ip -n wires link set eth0 up
    ip -n wires link set outside up
    router near 3 authentic
    router far 4 off
    ip netns add node
    ip -n far link add lan type bridge
    ip -n far link set lan up
    ip -n far addr flush dev bat0
    ip -n far link set bat0 master lan
    plug far lan node lan0
    ip -n node addr add "$NODE/24" dev lan0
    build_vlan
}

reaches() { near ping -c 1 -W 2 "$@"; }
shows() { ip netns exec "$1" "$TUNLITE" show "mesh-$1" --json | grep -q "$2"; }

# sent_to KEY: bytes that near has sent to a peer.
sent_to() {
    near "$TUNLITE" show mesh-near --json | sed 's/}, {/\n/g' |
        grep -F "$(key_public "$1")" | sed -n 's/.*"tx_bytes": \([0-9]*\).*/\1/p'
}

# carries NAME: what a user of the mesh sees of it, untagged and tagged.
carries() {
    check "$1-large" "no answer" reaches -s 1450 "$NODE"
    check "$1-tcp-out" "the copy differs" tcp_copy near node "$NODE"
    check "$1-tcp-back" "the copy differs" tcp_copy node near 10.8.0.3
    check_soon "$1-vlan" "no answer" reaches "$NODE_TAGGED"
    check "$1-vlan-large" "no answer" reaches -s 1450 "$NODE_TAGGED"
}

is_dead() { ! near ping -c 1 -W 1 "$1"; }

# The host kills the gateway that is named; the mesh goes on by the other.
lose() {
    begun=$(uptime_s)
    note "kill $1"
    check_soon "gateway$1-dies" "it answers" is_dead "10.78.0.$1"
    check_soon mesh-goes-on "no answer" reaches "$NODE"
    value mesh-goes-on-after-s $(($(uptime_s) - begun))
}

build
# The gateways boot meanwhile, and batman-adv's bridge loop avoidance holds broadcasts back, so ARP.
WAIT_S=180 # lib.sh reads it
export WAIT_S
check_soon mesh-ping "no answer" reaches "$NODE"
carries mesh
for router in near far; do
    check "$router-parts" "no frame came in parts" shows "$router" '"parts_read": [1-9]'
done
check near-mode "not authentic" shows near '"encryption": "authentic"'
check far-mode "not off" shows far '"encryption": "off"'
value near-to-gateway1-bytes "$(sent_to 1)"
value near-to-gateway2-bytes "$(sent_to 2)"
if [ "$(sent_to 1)" -gt "$(sent_to 2)" ]; then lose 1; else lose 2; fi
carries after
for router in near far; do
    value "$router-kb" "$(peak_kb "$(cat "/run/mesh-$router.pid")")"
done
