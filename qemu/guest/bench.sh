#!/bin/sh
# SPDX-License-Identifier: MIT
# The bench on the instruction clock: TL_ROWS names the tunnels, one TCP flow through each for
# TL_SECONDS. Reports bytes, seconds, idle clock ticks and the daemon's memory for each row.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh
# shellcheck source=qemu/guest/bench_lib.sh
. /tl/bench_lib.sh

# bare_up: no tunnel, what the wire itself carries.
bare_up() { TARGET=192.0.2.2; }

kernel_row_up() { pair_up kernel kernel; }

# tunlite_row_up BATCH [NEAR FAR]: batch 0 leaves its size to the daemon; the implementations at
# both ends are tunlite, or one of them is kernel.
tunlite_row_up() {
    pair_confs
    if [ "$1" -gt 0 ]; then
        echo "Batch = $1" >>/tmp/near.conf
        echo "Batch = $1" >>/tmp/far.conf
    fi
    conf_peer /tmp/near.conf 2 10.9.0.2/32 192.0.2.2:51820
    conf_peer /tmp/far.conf 1 10.9.0.1/32
    tunnel_up "${3:-tunlite}" far tl-far /tmp/far.conf &&
        tunnel_up "${2:-tunlite}" near tl-near /tmp/near.conf
}

# crowd_row_up COUNT: kernel WireGuard sends to a tunlite that has so many peers, one of them up.
crowd_row_up() {
    pair_confs
    number=1
    while [ "$number" -lt "$1" ]; do
        conf_peer /tmp/far.conf $((number + 2)) "10.9.$((number / 200 + 1)).$((number % 200 + 1))/32"
        number=$((number + 1))
    done
    conf_peer /tmp/near.conf 2 10.9.0.2/32 192.0.2.2:51820
    conf_peer /tmp/far.conf 1 10.9.0.1/32
    tunnel_up tunlite far tl-far /tmp/far.conf && tunnel_up kernel near tl-near /tmp/near.conf &&
        until_true grep -q ready /tmp/tl-far.log
}

# rekey_row_up: as the row tunlite, but a session lives 5 s, so that handshakes run under load.
rekey_row_up() {
    TL_SECONDS=$((TL_SECONDS * 4))
    pair_confs
    echo "RekeyAfter = 5" >>/tmp/near.conf
    echo "RekeyAfter = 5" >>/tmp/far.conf
    conf_peer /tmp/near.conf 2 10.9.0.2/32 192.0.2.2:51820
    conf_peer /tmp/far.conf 1 10.9.0.1/32
    tunnel_up tunlite far tl-far /tmp/far.conf && tunnel_up tunlite near tl-near /tmp/near.conf
}

# fastd_row_up METHOD: the same inner MTU as WireGuard's, so packets are as large.
fastd_row_up() {
    fastd_up tun 1420 "$1" && row_address near 1 && row_address far 2
}

# tinc_up: both ends know both hosts; /tl/tinc has the keys.
tinc_up() {
    tinc_side near 1 far
    tinc_side far 2 near
}

# tinc_side NAMESPACE OWN PEER_NAMESPACE
tinc_side() {
    folder=/tmp/tinc-$1
    mkdir -p "$folder/hosts"
    {
        echo "Name = $1"
        echo "Interface = tl-$1"
        echo "DeviceType = tun"
        [ "$1" = far ] || echo "ConnectTo = $3"
    } >"$folder/tinc.conf"
    for number in 1 2; do
        host=near
        [ "$number" = 1 ] || host=far
        {
            echo "Address = 192.0.2.$number"
            echo "Subnet = 10.9.0.$number/32"
            cat "/tl/tinc/$host.pub"
        } >"$folder/hosts/$host"
    done
    cp "/tl/tinc/$1.key" "$folder/rsa_key.priv"
    chmod 600 "$folder/rsa_key.priv"
    in_background "$1" "tl-$1" tincd -D -c "$folder" --pidfile="/run/tinc-$1.daemon"
    row_address "$1" "$2"
}

# row_address NAMESPACE NUMBER: the address of a tunnel device that its daemon makes.
row_address() {
    until_true ip -n "$1" link show "tl-$1" &&
        ip -n "$1" addr add "10.9.0.$2/24" dev "tl-$1" &&
        ip -n "$1" link set "tl-$1" mtu 1420 up
}

row_up() {
    TARGET=10.9.0.2
    case $1 in
    veth) bare_up ;;
    kernel) kernel_row_up ;;
    fastd-null) fastd_row_up null ;;
    fastd-salsa2012) fastd_row_up salsa2012+umac ;;
    tinc) tinc_up ;;
    tunlite) tunlite_row_up 0 ;;
    tunlite-to-kernel) tunlite_row_up 0 tunlite kernel ;;
    kernel-to-tunlite) tunlite_row_up 0 kernel tunlite ;;
    tunlite-rekey) rekey_row_up ;;
    kernel-to-tunlite-peers-*) crowd_row_up "${1##*-}" ;;
    tunlite-batch-*) tunlite_row_up "${1##*-}" ;;
    *) false ;;
    esac
}

row() {
    topology
    if ! row_up "$1"; then
        fail "$1" "the tunnel did not come up"
        return
    fi
    if ! until_true near ping -c 1 -W 2 "$TARGET"; then
        fail "$1" "no answer through the tunnel"
        return
    fi
    # The first answer had to wait for the handshake, both ends of it on this one CPU.
    value "$1:first_ping_ms" "$(sed -n 's/.* time=\([0-9.]*\) ms/\1/p' /tmp/last | head -n 1)"
    far iperf3 -s -1 >/dev/null 2>&1 &
    server=$!
    until_true iperf_listens
    begun=$(idle_ticks)
    if near iperf3 -c "$TARGET" -t "$TL_SECONDS" --json >/tmp/iperf.json; then
        value "$1:idle_ticks" $(($(idle_ticks) - begun))
        sum_received "$1"
        peak "$1"
        case $1 in
        tunlite | tunlite-rekey) tunlite_figures "$1" near far ;;
        kernel-to-tunlite-peers-*) tunlite_figures "$1" far ;;
        esac
        ok "$1"
    else
        fail "$1" "iperf3: $(tail -n 3 /tmp/iperf.json | tr '\n' ' ')"
        kill "$server"
    fi
    wait "$server"
}

# tunlite_figures ROW SIDE...: what the daemons say of themselves: handshakes, the longest time
# between two packet turns. And what an X25519 takes, for comparison.
tunlite_figures() {
    figures_of=$1
    shift
    for side in "$@"; do
        echo "--- json $figures_of:$side"
        "$side" "$TUNLITE" show "tl-$side" --json
        echo "---"
    done
    echo "--- json $figures_of:probe"
    "$TUNLITE" probe --json
    echo "---"
}

for name in $TL_ROWS; do
    (row "$name")
    topology_down
    rm -rf /tmp/tinc-* /tmp/fastd-*
done
