# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the guest's scenarios share: result lines, waiting, namespaces, tunnels of either kind.
#
# TL_IMPL names the implementation under test: `tunlite`, or `kernel` to check the scenarios
# themselves with the kernel's WireGuard in its place.

# busybox's shell would run its own, smaller ip.
ip() { /bin/ip "$@"; }

# These are read by main.sh and the scenarios.
TUNLITE=${TL_PROGRAM:-tunlite}
WAIT_S=${TL_WAIT_S:-30}

# A listener's input that never ends: at its end nc would close the connection.
[ -p /run/quiet ] || mkfifo /run/quiet

ok() { echo "TL: ok $1"; }
fail() {
    echo "TL: fail $*"
    show_logs
}
note() { echo "TL: note $*"; }
value() { echo "TL: value $1 $2"; }

show_logs() {
    for log in /tmp/*.log; do
        [ -s "$log" ] || continue
        echo "--- $log"
        tail -n 40 "$log"
    done
}

# until_true COMMAND...: try it until it succeeds, for WAIT_S seconds at most.
until_true() {
    deadline=$(($(uptime_s) + WAIT_S))
    while ! "$@" >/tmp/last 2>&1; do
        if [ "$(uptime_s)" -ge "$deadline" ]; then
            return 1
        fi
        sleep 0.2
    done
}

# Seconds since boot: the wall clock is set back and forth by a scenario.
uptime_s() { cut -d. -f1 /proc/uptime; }

# check NAME WHY COMMAND...: one result line by the command's end.
check() {
    check_name=$1
    check_why=$2
    shift 2
    if "$@" >/tmp/last 2>&1; then
        ok "$check_name"
    else
        fail "$check_name" "$check_why: $(tail -n 1 /tmp/last)"
    fi
}

# check_soon NAME WHY COMMAND...: as check, but the command has WAIT_S seconds to come true.
check_soon() {
    check_name=$1
    check_why="$2 after $WAIT_S s"
    shift 2
    if until_true "$@"; then
        ok "$check_name"
    else
        fail "$check_name" "$check_why: $(tail -n 1 /tmp/last)"
    fi
}

near() { ip netns exec near "$@"; }
far() { ip netns exec far "$@"; }

# Two routers: namespaces near and far, joined by a veth with 192.0.2.1 and 192.0.2.2.
topology() {
    ip netns add near
    ip netns add far
    ip link add wire0 netns near type veth peer name wire0 netns far
    near /bin/ip link set lo up
    far /bin/ip link set lo up
    near /bin/ip addr add 192.0.2.1/24 dev wire0
    far /bin/ip addr add 192.0.2.2/24 dev wire0
    near /bin/ip link set wire0 up
    far /bin/ip link set wire0 up
}

topology_down() {
    for file in /run/*.pid; do
        [ -e "$file" ] || continue
        kill -9 "$(cat "$file")" 2>/dev/null
        rm -f "$file"
    done
    for space in $(ip netns list | cut -d " " -f 1); do
        ip netns del "$space"
    done
    rm -f /tmp/*.log /tmp/*.conf /tmp/told
}

key_private() { awk -v n="$1" '$1 == n { print $2 }' /tl/keys; }
key_public() { awk -v n="$1" '$1 == n { print $3 }' /tl/keys; }

# key_address KEY END: what a dialect makes of a public key, as text that ends with END.
key_address() {
    # shellcheck disable=SC2059 # END is to be understood
    printf "$(key_public "$1")$2" | md5sum |
        sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\).*/fe80::2\1:\2ff:fe\3:\4\5/'
}

# conf_interface FILE KEY PORT [ADDRESSES]
conf_interface() {
    (
        umask 077
        {
            echo "[Interface]"
            echo "PrivateKey = $(key_private "$2")"
            echo "ListenPort = $3"
            [ -z "${4:-}" ] || echo "Address = $4"
        } >"$1"
    )
}

# conf_ether FILE KEY [ADDRESSES [MODES]]: layer 2, as wide as batman-adv wants it.
conf_ether() {
    conf_interface "$1" "$2" 51820 "${3:-}"
    printf "Layer = 2\nMTU = 1532\nEncryption = %s\n" "${4:-on}" >>"$1"
}

# conf_peer FILE KEY ALLOWED_IPS [ENDPOINT]: layer 2 has no ALLOWED_IPS.
conf_peer() {
    {
        echo "[Peer]"
        echo "PublicKey = $(key_public "$2")"
        [ -z "$3" ] || echo "AllowedIPs = $3"
        [ -z "${4:-}" ] || echo "Endpoint = $4"
    } >>"$1"
}

# tunnel_up IMPLEMENTATION NAMESPACE INTERFACE FILE
tunnel_up() {
    case $1 in
    kernel) kernel_up "$2" "$3" "$4" ;;
    tunlite) tunlite_up "$2" "$3" "$4" ;;
    esac
}

tunnel_down() {
    case $1 in
    kernel) ip -n "$2" link del "$3" ;;
    tunlite) tunlite_stop "$3" TERM ;;
    esac
}

kernel_up() {
    ip -n "$1" link add "$2" type wireguard || return 1
    grep -v '^Address' "$3" >"/tmp/$2.setconf"
    ip netns exec "$1" wg setconf "$2" "/tmp/$2.setconf" || return 1
    for address in $(sed -n 's/^Address = //p' "$3" | tr ',' ' '); do
        ip -n "$1" addr add "$address" dev "$2" nodad 2>/dev/null ||
            ip -n "$1" addr add "$address" dev "$2"
    done
    ip -n "$1" link set "$2" mtu 1420 up
}

tunlite_up() {
    in_background "$1" "$2" "$TUNLITE" run --config "$3" --interface "$2"
    until_true is_up "$1" "$2"
}

# in_background NAMESPACE NAME COMMAND...: its output in /tmp/NAME.log, its pid in /run/NAME.pid.
# Not by the function ip: that would be a shell's pid.
in_background() {
    space=$1
    job=$2
    shift 2
    /bin/ip netns exec "$space" "$@" >"/tmp/$job.log" 2>&1 &
    echo $! >"/run/$job.pid"
}

is_up() { ip -n "$1" -o link show "$2" | grep -q '[<,]UP[,>]'; }

# peak_kb PID: the peak of resident memory of a daemon, its children included.
peak_kb() {
    total=0
    for status in /proc/[0-9]*/status; do
        kb=$(awk -v pid="$1" '
            $1 == "Pid:" && $2 == pid { ours = 1 }
            $1 == "PPid:" && $2 == pid { ours = 1 }
            $1 == "VmHWM:" && ours { print $2 }' "$status" 2>/dev/null)
        total=$((total + ${kb:-0}))
    done
    echo "$total"
}

# private_kb PID...: memory that is theirs alone, all together.
private_kb() {
    for one in "$@"; do
        cat "/proc/$one/smaps_rollup"
    done | awk '/^Private/ { sum += $2 } END { print sum + 0 }'
}

children() {
    cat /proc/[0-9]*/status 2>/dev/null |
        awk -v pid="$1" '$1 == "Pid:" { own = $2 } $1 == "PPid:" && $2 == pid { print own }'
}

# tunlite_stop INTERFACE SIGNAL
tunlite_stop() {
    pid=$(cat "/run/$1.pid")
    kill "-$2" "$pid"
    until_true is_gone "$pid"
    rm -f "/run/$1.pid"
}

is_gone() { ! kill -0 "$1"; }

# A pair of tunnels as most scenarios want them: near initiates to far.
# pair_up NEAR_IMPLEMENTATION FAR_IMPLEMENTATION
pair_up() {
    pair_confs
    conf_peer /tmp/near.conf 2 "10.9.0.2/32, fd99::2/128, fe80::/64" 192.0.2.2:51820
    conf_peer /tmp/far.conf 1 "10.9.0.1/32, fd99::1/128, fe80::/64"
    tunnel_up "$2" far tl-far /tmp/far.conf && tunnel_up "$1" near tl-near /tmp/near.conf
}

pair_confs() {
    conf_interface /tmp/near.conf 1 51820 "10.9.0.1/24, fd99::1/64"
    conf_interface /tmp/far.conf 2 51820 "10.9.0.2/24, fd99::2/64"
}

# bat NAMESPACE DEVICE HOST: batman-adv on a device, its own address 10.8.0.HOST.
bat() {
    ip -n "$1" link add bat0 address "02:00:00:00:08:0$3" type batadv
    ip -n "$1" link set "$2" master bat0
    ip -n "$1" link set "$2" up
    ip -n "$1" addr add "10.8.0.$3/24" dev bat0
    ip -n "$1" link set bat0 up
}

# tcp_copy FROM TO ADDRESS: 1 MB of noise by TCP, equal at the end.
tcp_copy() {
    dd if=/dev/urandom of=/tmp/noise bs=64k count=16 2>/dev/null
    ip netns exec "$2" timeout 90 nc -l -p 5001 <>/run/quiet >/tmp/noise.copy &
    receiver=$!
    until_true listens "$2"
    ip netns exec "$1" timeout 60 nc "$3" 5001 </tmp/noise || return 1
    wait "$receiver"
    cmp /tmp/noise /tmp/noise.copy
}

listens() { ip netns exec "$1" netstat -ltn | grep -q ':5001 '; }

# tcp_load SECONDS FROM TO ADDRESS: a TCP flow; says how many megabytes came through.
tcp_load() {
    ip netns exec "$3" timeout 90 nc -l -p 5001 <>/run/quiet | wc -c >/tmp/load.bytes &
    counter=$!
    until_true listens "$3"
    ip netns exec "$2" timeout "$1" nc "$4" 5001 </dev/zero
    wait "$counter"
    value "tcp-$2-to-$3-mbytes" $(($(cat /tmp/load.bytes) / 1000000))
    [ "$(cat /tmp/load.bytes)" -gt 100000 ]
}
