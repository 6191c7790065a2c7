#!/bin/sh
# SPDX-License-Identifier: MIT
# A gateway of the mesh of qemu/mesh_test.py: layer 2 towards the routers and the other gateway,
# batman-adv on top. It runs until it is killed, and tells how much memory its daemon has had.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh

own=$TL_NUMBER
ip netns add near
ip link set eth0 netns near
ip -n near addr add "10.78.0.$own/24" dev eth0
ip -n near link set eth0 up
conf_ether /tmp/mesh.conf "$own" "" "on, authentic, off"
for peer in $TL_PEERS; do
    endpoint=
    # Of two gateways the second is called.
    [ "$own$peer" != 12 ] || endpoint=10.78.0.2:51820
    conf_peer /tmp/mesh.conf "$peer" "" "$endpoint"
done
tunlite_up near mesh0 /tmp/mesh.conf || fail "gateway$own-up" "the daemon did not come up"
bat near mesh0 "$own"
ok "gateway$own-up"
while sleep 5; do
    value "gateway$own-kb" "$(peak_kb "$(cat /run/mesh0.pid)")"
done
