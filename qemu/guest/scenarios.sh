# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The scenarios of the router test. main.sh runs those that TL_SCENARIOS names, each from clean.

# Two routers, one tunnel, both ends the implementation under test.
scenario_pair() {
    topology
    pair_up "$TL_IMPL" "$TL_IMPL" || {
        fail pair-up "a tunnel did not come up"
        return
    }
    check_soon pair-ping4 "no answer" near ping -c 1 -W 2 10.9.0.2
    check_soon pair-ping6 "no answer" near ping6 -c 1 -W 2 fd99::2
    check pair-fragments "no answer" near ping -c 3 -W 3 -s 4000 10.9.0.2
    check pair-tcp-out "the copy differs" tcp_copy near far 10.9.0.2
    check pair-tcp-back "the copy differs" tcp_copy far near 10.9.0.1
}

# The kernel's WireGuard at the far end: first we initiate, then it does.
scenario_kernel() {
    topology
    pair_up "$TL_IMPL" kernel || {
        fail kernel-up "a tunnel did not come up"
        return
    }
    check_soon kernel-as-responder "no answer" near ping -c 1 -W 2 10.9.0.2
    check kernel-tcp-out "the copy differs" tcp_copy near far 10.9.0.2
    check kernel-tcp-back "the copy differs" tcp_copy far near 10.9.0.1
    topology_down
    topology
    pair_confs
    conf_peer /tmp/near.conf 2 "10.9.0.2/32, fd99::2/128"
    conf_peer /tmp/far.conf 1 "10.9.0.1/32, fd99::1/128" 192.0.2.1:51820
    tunnel_up "$TL_IMPL" near tl-near /tmp/near.conf || {
        fail kernel-up "near did not come up"
        return
    }
    tunnel_up kernel far tl-far /tmp/far.conf || {
        fail kernel-up "far did not come up"
        return
    }
    check_soon kernel-as-initiator "no answer" far ping -c 1 -W 2 10.9.0.1
}

# Gluon's way: vxlan over the tunnel's IPv6 addresses, batman-adv on top.
scenario_mesh() {
    topology
    pair_up "$TL_IMPL" "$TL_IMPL" || {
        fail mesh-up "a tunnel did not come up"
        return
    }
    mesh_node near 1 2
    mesh_node far 2 1
    # batman-adv's bridge loop avoidance holds broadcasts, so ARP, back for its first 30 s.
    WAIT_S=90
    export WAIT_S
    check_soon mesh-ping "no answer" near ping -c 1 -W 2 10.8.0.2
    # Larger than the tunnel's MTU: batman-adv's own fragments.
    check_soon mesh-ping-large "no answer" near ping -c 1 -W 2 -s 1450 10.8.0.2
    check mesh-tcp "the copy differs" tcp_copy near far 10.8.0.2
}

# mesh_node NAMESPACE OWN PEER
mesh_node() {
    ip -n "$1" link add vx0 type vxlan id 4831 local "fd99::$2" remote "fd99::$3" \
        dstport 4789 dev "tl-$1" udp6zerocsumtx udp6zerocsumrx
    bat "$1" vx0 "$2"
}

# A router without a clock: it starts in 1970, and after a reboot it is earlier than before. The
# far end remembers the newest time stamp and ignores what is older, so ours must still grow.
scenario_clock1970() {
    topology
    date -s "1970-01-01 00:20:00" >/dev/null
    pair_up "$TL_IMPL" kernel || {
        fail clock1970-up "a tunnel did not come up"
        return
    }
    check_soon clock1970-first "no answer" near ping -c 1 -W 2 10.9.0.2
    tunnel_down "$TL_IMPL" near tl-near
    date -s "1970-01-01 00:05:00" >/dev/null
    tunnel_up "$TL_IMPL" near tl-near /tmp/near.conf || {
        fail clock1970-up "no second start"
        return
    }
    if [ "$TL_IMPL" = kernel ]; then
        # The control: the kernel keeps no stamp, so this is the failure that the state file ends.
        if WAIT_S=10 until_true near ping -c 1 -W 2 10.9.0.2; then
            fail clock1970-control "the far end accepted an older time stamp"
        else
            ok clock1970-control
        fi
    else
        check_soon clock1970-again "no answer" near ping -c 1 -W 2 10.9.0.2
    fi
}

# kill -9, start again: nothing of the old process stands in the way.
scenario_restart() {
    topology
    pair_up "$TL_IMPL" kernel || {
        fail restart-up "a tunnel did not come up"
        return
    }
    check_soon restart-before "no answer" near ping -c 1 -W 2 10.9.0.2
    if [ "$TL_IMPL" = tunlite ]; then
        tunlite_stop tl-near KILL
    else
        tunnel_down "$TL_IMPL" near tl-near
    fi
    tunnel_up "$TL_IMPL" near tl-near /tmp/near.conf || {
        fail restart-up "no second start"
        return
    }
    check_soon restart-after "no answer" near ping -c 1 -W 2 10.9.0.2
}

scenario_peers8() { peers 8 2048; }
scenario_peers200() { peers 200 4096; }

# peers COUNT LIMIT_KB: so many peers, each with a session, then TCP both ways and the peak of
# resident memory. One kernel interface takes the peers' identities one after the other.
peers() {
    topology
    conf_interface /tmp/near.conf 1 51820 "10.9.0.1/16"
    number=1
    while [ "$number" -le "$1" ]; do
        conf_peer /tmp/near.conf $((number + 10)) "10.9.1.$number/32"
        number=$((number + 1))
    done
    tunnel_up "$TL_IMPL" near tl-near /tmp/near.conf || fail "peers$1-up" "near did not come up"
    number=1
    answered=0
    WAIT_S=10 # lib.sh's until_true reads it
    export WAIT_S
    while [ "$number" -le "$1" ]; do
        peer_becomes "$number" || note "peer $number does not come up"
        if until_true far ping -c 1 -W 2 10.9.0.1; then
            answered=$((answered + 1))
        fi
        number=$((number + 1))
    done
    check "peers$1-sessions" "only $answered of $1 peers got an answer" test "$answered" -eq "$1"
    tcp_load "${TL_LOAD_S:-10}" near far "10.9.1.$1" || fail "peers$1-tcp" "no TCP out"
    tcp_load "${TL_LOAD_S:-10}" far near 10.9.0.1 || fail "peers$1-tcp" "no TCP back"
    memory "peers$1-memory" "$2"
}

# The far end's interface becomes peer NUMBER. One device for all: the kernel frees removed ones so late
# that 200 of them do not fit a guest of 64 MB.
peer_becomes() {
    conf_interface /tmp/far.conf $(($1 + 10)) 51820 "10.9.1.$1/16"
    conf_peer /tmp/far.conf 1 "10.9.0.1/32" 192.0.2.1:51820
    if [ "$1" -eq 1 ]; then
        kernel_up far tl-far /tmp/far.conf
        return
    fi
    grep -v '^Address' /tmp/far.conf >/tmp/tl-far.setconf
    ip -n far link set tl-far down && ip -n far addr flush dev tl-far &&
        far wg setconf tl-far /tmp/tl-far.setconf &&
        ip -n far addr add "10.9.1.$1/16" dev tl-far && ip -n far link set tl-far up
}

# memory NAME LIMIT_KB: the peak of the near end's resident memory.
memory() {
    if [ "$TL_IMPL" = kernel ]; then
        note "$1: the kernel's WireGuard is no process, nothing to measure"
        return
    fi
    # What waits in the device is the kernel's memory, and each packet there may be of 64 KB.
    check "$1-queue" "not the queue of a small machine" sh -c \
        "/bin/ip -n near link show dev tl-near | grep -q 'qlen 128'"
    peak=$(peak_kb "$(cat /run/tl-near.pid)")
    value "$1-kb" "$peak"
    check "$1" "VmHWM is $peak kB, the limit is $2 kB" test "$peak" -le "$2"
}

# Eight routers at a gateway of layer 2, a daemon each. IP is on the device, and its MTU is more than
# the way takes: frames go in parts both ways.
scenario_ether8() {
    ip netns add near
    ip -n near link add wire0 type bridge
    ip -n near addr add 192.0.2.1/24 dev wire0
    ip -n near link set wire0 up
    conf_ether /tmp/near.conf 1 10.9.0.1/16
    for number in 1 2 3 4 5 6 7 8; do
        conf_peer /tmp/near.conf $((number + 10)) ""
    done
    tunnel_up tunlite near tl-near /tmp/near.conf || fail ether8-up "near did not come up"
    for number in 1 2 3 4 5 6 7 8; do
        ether_router "$number" || fail ether8-up "router $number did not come up"
        check_soon "ether8-ping-$number" "no answer" router_pings "$number"
    done
    tcp_load "${TL_LOAD_S:-10}" near router8 10.9.1.8 || fail ether8-tcp "no TCP out"
    tcp_load "${TL_LOAD_S:-10}" router8 near 10.9.0.1 || fail ether8-tcp "no TCP back"
    check ether8-parts "no frame came in parts" near sh -c \
        "$TUNLITE show tl-near --json | grep -q '\"parts_read\": [1-9]'"
    memory ether8-memory 2304
    daemon=$(children "$(cat /run/tl-near.pid)")
    peak=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$daemon/status")
    value ether8-daemon-kb "$peak"
    check ether8-daemon "VmHWM is $peak kB" test "$peak" -le 2048
    ether_private
}

# ether_router NUMBER: a namespace on near's wire, and its daemon.
ether_router() {
    ip netns add "router$1"
    ip -n near link add "port$1" type veth peer name wire0 netns "router$1"
    ip -n near link set "port$1" master wire0
    ip -n near link set "port$1" up
    ip -n "router$1" addr add "192.0.2.1$1/24" dev wire0
    ip -n "router$1" link set wire0 up
    conf_ether "/tmp/router$1.conf" $(($1 + 10)) "10.9.1.$1/16"
    conf_peer "/tmp/router$1.conf" 1 "" 192.0.2.1:51820
    tunnel_up tunlite "router$1" "tl-router$1" "/tmp/router$1.conf"
}

router_pings() { ip netns exec "router$1" ping -c 1 -W 2 10.9.0.1; }

# What the parent and the runner of commands (the process that forks, and its child) have for
# themselves: near again, with a command in its file. Kernels of our own do not tell it.
ether_private() {
    [ -e /proc/self/smaps_rollup ] || return
    tunlite_stop tl-near TERM
    sed -i 's/^Layer/OnEstablish = true\n&/' /tmp/near.conf
    tunnel_up tunlite near tl-near /tmp/near.conf || fail ether8-up "near did not come up again"
    check_soon ether8-again "no answer" router_pings 1
    parent=$(cat /run/tl-near.pid)
    set -- "$parent"
    for child in $(children "$parent"); do
        grandchild=$(children "$child")
        if [ -n "$grandchild" ]; then
            # shellcheck disable=SC2086 # a list of words
            set -- "$parent" "$child" $grandchild
        else
            value ether8-daemon-private-kb "$(private_kb "$child")"
        fi
    done
    check ether8-runner "it does not run" test $# -gt 1
    value ether8-parent-and-runner-private-kb "$(private_kb "$@")"
}

# A gateway of today at the far end, the kernel's WireGuard and vxlan on it; at ours both are in the
# daemon. batman-adv on top, as in each community that has such gateways.
scenario_vxlan() {
    vxlan gluon "" fe80::1 4789 udp6zerocsumtx udp6zerocsumrx
    topology_down
    vxlan munich "\n" "$(key_address 2 "\n")" 8472
}

# vxlan DIALECT END GATEWAY PORT [WORD...]: words of ip(8) for the kernel's vxlan.
vxlan() {
    dialect=$1
    router=$(key_address 1 "$2")
    gateway=$3
    port=$4
    shift 4
    topology
    conf_interface /tmp/near.conf 1 51820
    printf "Encapsulation = vxlan\nVNI = 4711\nVXLANDialect = %s\n" "$dialect" >>/tmp/near.conf
    conf_peer /tmp/near.conf 2 "$gateway/128" 192.0.2.2:51820
    conf_interface /tmp/far.conf 2 51820 "$gateway/64"
    conf_peer /tmp/far.conf 1 "$router/128"
    if ! tunnel_up kernel far tl-far /tmp/far.conf ||
        ! tunnel_up tunlite near tl-near /tmp/near.conf; then
        fail "vxlan-$dialect-up" "a tunnel did not come up"
        return
    fi
    ip -n far link add vx0 type vxlan id 4711 local "$gateway" remote "$router" \
        dstport "$port" dev tl-far "$@"
    bat near tl-near 1
    bat far vx0 2
    # Its bridge loop avoidance holds broadcasts back for 30 s.
    ip -n near neigh add 10.8.0.2 lladdr 02:00:00:00:08:02 dev bat0
    ip -n far neigh add 10.8.0.1 lladdr 02:00:00:00:08:01 dev bat0
    check_soon "vxlan-$dialect-ping" "no answer" near ping -c 1 -W 2 10.8.0.2
    check_soon "vxlan-$dialect-ping-large" "no answer" near ping -c 1 -W 2 -s 1450 10.8.0.2
    check "vxlan-$dialect-tcp-out" "the copy differs" tcp_copy near far 10.8.0.2
    check "vxlan-$dialect-tcp-back" "the copy differs" tcp_copy far near 10.8.0.1
}

# A mesh that gives a router its default route: the way to the gateway may not lead into the mesh.
# The routing_loop of C does not know a datagram of ours that batman-adv has wrapped.
scenario_detour() {
    topology
    ip -n far addr add 198.51.100.1/32 dev lo
    ip -n near route add default via 192.0.2.2
    conf_ether /tmp/near.conf 1
    conf_peer /tmp/near.conf 2 "" 198.51.100.1:51820
    conf_ether /tmp/far.conf 2
    conf_peer /tmp/far.conf 1 ""
    if ! tunnel_up tunlite far tl-far /tmp/far.conf ||
        ! tunnel_up tunlite near tl-near /tmp/near.conf; then
        fail detour-up "a tunnel did not come up"
        return
    fi
    bat near tl-near 1
    bat far tl-far 2
    ip -n near link add clients type bridge
    ip -n near addr flush dev bat0
    ip -n near link set bat0 master clients
    ip -n near addr add 10.8.0.1/24 dev clients
    ip -n near link set clients up
    ip -n near neigh add 10.8.0.2 lladdr 02:00:00:00:08:02 dev clients
    ip -n far neigh add 10.8.0.1 lladdr 02:00:00:00:08:01 dev bat0
    check_soon detour-before "no answer" near ping -c 1 -W 2 10.8.0.2
    for _ in 1 2 3; do
        chatter &
    done
    sleep 1
    sent=$(written)
    ip -n near route replace default via 10.8.0.2 dev clients
    check_soon detour-told "not a word" grep "is routed into tl-near itself" /tmp/tl-near.log
    touch /tmp/told
    # What went round in the twentieth of a second until the daemon looked, and doubled each time.
    value detour-datagrams $(($(written) - sent))
    sent=$(written)
    near ping -c 3 -W 1 10.8.0.2 >/dev/null
    sent=$(($(written) - sent))
    check detour-quiet "$sent datagrams left" test "$sent" -lt 5
    ip -n near route replace default via 192.0.2.2
    check_soon detour-after "no answer" near ping -c 1 -W 2 10.8.0.2
}

# So that there is what could go round, just when the route changes.
chatter() {
    while [ ! -e /tmp/told ]; do
        near ping -c 1 -W 1 10.8.0.2 >/dev/null
    done
}

# Datagrams that near has sent.
written() {
    near "$TUNLITE" show tl-near --json | sed -n 's/.*"socket_written": \([0-9]*\).*/\1/p'
}

# Through the virtual network card to daemons on the host: another CPU, maybe another byte order.
scenario_host() {
    ip addr add 10.77.0.2/24 dev eth0
    ip link set eth0 up
    conf_interface /tmp/out.conf 3 51820 "10.9.1.2/24, 10.9.2.2/24"
    conf_interface /tmp/in.conf 4 51830 "10.9.3.2/24, 10.9.4.2/24"
    # shellcheck disable=SC2086 # a list of words
    set -- $TL_HOST_PEERS
    for peer in "$@"; do
        name=${peer%%:*}
        number=${peer##*:}
        conf_peer /tmp/out.conf $((4 + number)) "10.9.$number.1/32" \
            "10.77.0.1:$((51820 + number))"
        conf_peer /tmp/in.conf $((4 + number)) "10.9.$((number + 2)).1/32"
    done
    ip netns add near
    ip link set eth0 netns near
    near /bin/ip addr add 10.77.0.2/24 dev eth0
    near /bin/ip link set eth0 up
    near /bin/ip link set lo up
    tunnel_up "$TL_IMPL" near tl-out /tmp/out.conf || {
        fail host-up "tl-out did not come up"
        return
    }
    tunnel_up "$TL_IMPL" near tl-in /tmp/in.conf || {
        fail host-up "tl-in did not come up"
        return
    }
    for peer in "$@"; do
        name=${peer%%:*}
        number=${peer##*:}
        check_soon "host-$name-as-responder" "no answer" near ping -c 1 -W 2 "10.9.$number.1"
        check_soon "host-$name-as-initiator" "no answer" near ping -c 1 -W 2 "10.9.$((number + 2)).1"
        check "host-$name-sizes" "a size had no answer" ping_sizes "10.9.$number.1"
    done
}

ping_sizes() {
    for size in 0 1 3 4 15 16 17 63 64 65 255 256 1000 1391 1392 1393 2900; do
        near ping -c 2 -W 3 -s "$size" "$1" >/dev/null || {
            echo "size $size"
            return 1
        }
    done
}

# The packages as a router would have them, unpacked by busybox's tar.
scenario_package() {
    for package in $TL_PACKAGES; do
        mkdir -p /tmp/ipk
        name=${package%%_*}
        check "package-opens-$name" "tar cannot read it" tar -xzf "/tl/$package" -C /tmp/ipk
        check "package-installs-$name" "tar cannot read its files" tar -xzf /tmp/ipk/data.tar.gz -C /
        check "package-control-$name" "no control file" tar -xzf /tmp/ipk/control.tar.gz -C /tmp/ipk
        check "package-name-$name" "not its name" grep -qx "Package: $name" /tmp/ipk/control
        rm -r /tmp/ipk
    done
    check package-init "the init script is not installed" test -x /etc/init.d/tunlite
    check package-runs "the program does not run" "$TUNLITE" --version
    check package-plugin "rpcd's plugin does not tell its methods" \
        sh -c "/usr/libexec/rpcd/tunlite list | grep -q generateKeyPair"
    note "not in this image, so not tested here: procd (the init script's service), opkg"
}

# `proto tunlite` in near, under a small netifd of ours; a WireGuard of the kernel's at the far end.
scenario_handler() {
    topology
    conf_interface /tmp/far.conf 2 51820 10.9.0.2/24
    conf_peer /tmp/far.conf 1 10.9.0.1/32
    tunnel_up kernel far tl-far /tmp/far.conf || fail handler-up "far did not come up"
    network_config 5
    in_background near netifd /sbin/netifd
    check_soon handler-setup "no answer" near ping -c 1 -W 2 10.9.0.2
    check_soon handler-route "not the second peer's network" near_routes 10.9.5.0/24
    in_background near pings ping -i 0.2 10.9.0.2
    network_config 6
    check handler-renew "netifd does not take it" ubus call network.interface.mesh0 renew
    check_soon handler-renewed "not the changed network" near_routes 10.9.6.0/24
    check handler-taken-back "the former network is routed" routes_no_more 10.9.5.0/24
    check handler-applied "the daemon has it not" near_shows 10.9.6.0/24
    sleep 1
    kill -INT "$(cat /run/pings.pid)"
    check_soon handler-no-ping-lost "$(tail -n 1 /tmp/pings.log)" grep -q " 0% packet loss" /tmp/pings.log
    check handler-no-transition "it went down meanwhile" test "$(grep -cx "up mesh0" /var/run/netifd/log)" -eq 1
    daemons=$(pidof tunlite)
    check handler-down "netifd does not take it" ubus call network.interface.mesh0 down
    check_soon handler-link-gone "the device is there" near_has_no mesh0
    # shellcheck disable=SC2086 # a list of words
    check_soon handler-daemon-gone "it runs on" all_gone $daemons
    check handler-key-gone "the file with the key is there" sh -c "! ls /var/run/tunlite/netifd/mesh0.conf"
}

# network_config NUMBER: the second peer has the network 10.9.NUMBER.0/24, routed.
network_config() {
    mkdir -p /etc/config
    cat >/etc/config/network <<END
config interface 'mesh0'
    option proto 'tunlite'
    option private_key '$(key_private 1)'
    option listen_port '51820'
    list addresses '10.9.0.1/24'

config tunlite_mesh0
    option public_key '$(key_public 2)'
    option endpoint_host '192.0.2.2'
    option endpoint_port '51820'
    list allowed_ips '10.9.0.2/32'

config tunlite_mesh0
    option public_key '$(key_public 3)'
    option route_allowed_ips '1'
    list allowed_ips '10.9.$1.0/24'
END
}

near_routes() { ip -n near route show "$1" | grep -q "dev mesh0"; }
routes_no_more() { ip -n near route >/tmp/routes && ! grep -q "$1" /tmp/routes; }
near_shows() { near "$TUNLITE" show mesh0 --json | grep -q "$1"; }
near_has_no() { ! ip -n near link show "$1"; }
all_gone() {
    for one in "$@"; do
        is_gone "$one" || return 1
    done
}
