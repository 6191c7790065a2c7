#!/bin/sh
# SPDX-License-Identifier: MIT
# What tunlite chooses on this kernel, with io_uring as the kernel has it and switched off.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh

# json NAME COMMAND...: its output between two markers, for the host to read.
json() {
    echo "--- json $1"
    shift
    "$@" 2>/tmp/json.log
    echo
    echo "---"
}

link_is_gone() { ! ip -n near link show tl-near; }

# tunnel NAME [ENGINE]: a ping through a pair of daemons, and what the daemon says it uses.
tunnel() {
    topology
    pair_confs
    if [ -n "${2:-}" ]; then
        sed -i "s/^ListenPort/Engine = $2\n&/" /tmp/near.conf
    fi
    conf_peer /tmp/near.conf 2 10.9.0.2/32 192.0.2.2:51820
    conf_peer /tmp/far.conf 1 10.9.0.1/32
    tunnel_up tunlite far tl-far /tmp/far.conf
    tunnel_up tunlite near tl-near /tmp/near.conf
    check_soon "$1-ping" "no answer" near ping -c 1 -W 2 10.9.0.2
    check "$1-fragments" "no answer" near ping -c 2 -W 2 -s 4000 10.9.0.2
    check "$1-tcp" "the copy differs" tcp_copy near far 10.9.0.2
    json "$1-show" near "$TUNLITE" show tl-near --json
    tunlite_stop tl-near TERM
    check "$1-ends" "the link is still there" link_is_gone
    echo "--- log $1"
    cat /tmp/tl-near.log
    echo "---"
    topology_down
}

json plain-probe "$TUNLITE" probe --json
"$TUNLITE" probe
(tunnel plain)
(tunnel forced io_uring)
sysctl=/proc/sys/kernel/io_uring_disabled
if [ -e "$sysctl" ]; then
    echo 2 >"$sysctl"
    json disabled-probe "$TUNLITE" probe --json
    (tunnel disabled io_uring)
fi
