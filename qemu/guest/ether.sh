#!/bin/sh
# SPDX-License-Identifier: MIT
# Ethernet over tunnels on the instruction clock: TL_ROWS names them, batman-adv on top of each, one
# TCP flow through it for TL_SECONDS, then once more with an acknowledgement for each read. Reports
# bytes, seconds, idle clock ticks, segments and acknowledgements of both.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh
# shellcheck source=qemu/guest/bench_lib.sh
. /tl/bench_lib.sh

# What the kernel's vxlan over IPv6 on WireGuard leaves fits into all of them: 1350. Two less make TCP's
# segments a multiple of 4 bytes, as those of each common MTU are: copies of others take longer.
NARROW=1348
# Gluon's width of a mesh's tunnel, and bat0's 1500 bytes with batman-adv's headers.
GLUON=1406
WIDE=1532

# ether_side NAMESPACE OWN OTHER MTU MODE
ether_side() {
    conf_interface "/tmp/$1.conf" "$2" 51820
    printf "Layer = 2\nMTU = %s\nEncryption = %s\n" "$4" "$5" >>"/tmp/$1.conf"
    conf_peer "/tmp/$1.conf" "$3" "" "192.0.2.$3:51820"
    tunnel_up tunlite "$1" "tl-$1" "/tmp/$1.conf"
}

# ether_up MTU MODE: our own layer 2.
ether_up() {
    ether_side far 2 1 "$1" "$2" && ether_side near 1 2 "$1" "$2"
}

# vxlan_side IMPLEMENTATION NAMESPACE ADDRESS OTHER_ADDRESS: the kernel's vxlan, as Gluon's nodes have it.
vxlan_side() {
    tunnel_up "$1" "$2" "tl-$2" "/tmp/$2.conf" &&
        ip -n "$2" link add vx0 type vxlan id 4711 local "$3" remote "$4" \
            dstport 4789 dev "tl-$2" udp6zerocsumtx udp6zerocsumrx
}

# vxlan_up NEAR: at the far end a gateway of today; near is kernel or tunlite with the kernel's vxlan,
# or `inside`, where both are in the daemon.
vxlan_up() {
    router=$(key_address 1 "")
    conf_interface /tmp/far.conf 2 51820 fe80::1/64
    conf_peer /tmp/far.conf 1 "$router/128"
    FAR=vx0
    vxlan_side kernel far fe80::1 "$router" || return 1
    if [ "$1" = inside ]; then
        conf_interface /tmp/near.conf 1 51820
        printf "Encapsulation = vxlan\nVNI = 4711\n" >>/tmp/near.conf
        conf_peer /tmp/near.conf 2 fe80::1/128 192.0.2.2:51820
        tunnel_up tunlite near tl-near /tmp/near.conf
        return
    fi
    conf_interface /tmp/near.conf 1 51820 "$router/64"
    conf_peer /tmp/near.conf 2 fe80::1/128 192.0.2.2:51820
    NEAR=vx0
    vxlan_side "$1" near "$router" fe80::1
}

# l2tp_up MTU: fastd's offload to the kernel.
l2tp_up() { fastd_up multitap "$1" null@l2tp "offload l2tp yes; persist interface no;"; }

# tunnel NAME MTU
tunnel() {
    case $1 in
    kernel) vxlan_up kernel ;;
    vxlan-on-tunlite) vxlan_up tunlite ;;
    vxlan-inside) vxlan_up inside ;;
    fastd-salsa2012) fastd_up tap "$2" salsa2012+umac ;;
    fastd-null) fastd_up tap "$2" null ;;
    l2tp) l2tp_up "$2" ;;
    on | authentic | off) ether_up "$2" "$1" ;;
    *) false ;;
    esac
}

# row_up ROW: KIND:TUNNEL[:cut]. KIND `bat`: frames fit into the way. `parts`: ours are sent in parts.
# `fragments`: batman-adv cuts what is longer than Gluon's tunnel. `cut`: the wire's kernel cuts runs.
row_up() {
    kind=${1%%:*}
    rest=${1#*:}
    NEAR=tl-near
    FAR=tl-far
    case $kind in
    bat) mtu=$NARROW && bat_mtu=$((NARROW - 32)) ;;
    parts) mtu=$WIDE && bat_mtu=1500 ;;
    fragments) mtu=$GLUON && bat_mtu=1500 ;;
    *) return 1 ;;
    esac
    case $rest in *:cut) cut_runs ;; esac
    tunnel "${rest%%:*}" "$mtu" || return 1
    meshed near "$NEAR" 1 2 && meshed far "$FAR" 2 1
}

cut_runs() {
    near /bin/ip link set wire0 gso_max_segs 1
    far /bin/ip link set wire0 gso_max_segs 1
}

# meshed NAMESPACE DEVICE OWN OTHER: bridge loop avoidance would hold ARP back for 30 s.
meshed() {
    ip -n "$1" link set "$2" mtu "$mtu"
    bat "$1" "$2" "$3"
    ip -n "$1" link set bat0 mtu "$bat_mtu"
    ip -n "$1" neigh add "10.8.0.$4" lladdr "02:00:00:00:08:0$4" dev bat0
}

# tcp_sent NAMESPACE: TCP segments it has sent.
tcp_sent() {
    ip netns exec "$1" cat /proc/net/snmp | awk '/^Tcp: [0-9]/ { print $12 }'
}

# flow RUN: RUN is ROW/plain or ROW/quickack.
flow() {
    far iperf3 -s -1 >/dev/null 2>&1 &
    server=$!
    until_true iperf_listens
    segments=$(tcp_sent near)
    acks=$(tcp_sent far)
    begun=$(idle_ticks)
    if ! near iperf3 -c 10.8.0.2 -t "$TL_SECONDS" --json >/tmp/iperf.json; then
        kill "$server"
        wait "$server"
        return 1
    fi
    value "$1:idle_ticks" $(($(idle_ticks) - begun))
    value "$1:segments" $(($(tcp_sent near) - segments))
    value "$1:acks" $(($(tcp_sent far) - acks))
    sum_received "$1"
    wait "$server"
}

row() {
    topology
    if ! row_up "$1"; then
        fail "$1" "the tunnel did not come up"
        return
    fi
    if ! until_true near ping -c 1 -W 1 10.8.0.2; then
        fail "$1" "no answer through the tunnel"
        return
    fi
    # By then path MTUs are measured.
    sleep 3
    if flow "$1/plain" && ip -n far route add 10.8.0.1/32 dev bat0 quickack 1 &&
        flow "$1/quickack"; then
        ok "$1"
    else
        fail "$1" "iperf3: $(tail -n 3 /tmp/iperf.json | tr '\n' ' ')"
    fi
    peak "$1/plain"
}

for name in $TL_ROWS; do
    (row "$name")
    topology_down
    rm -rf /tmp/fastd-*
done
