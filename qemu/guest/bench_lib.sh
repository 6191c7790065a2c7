#!/bin/sh
# SPDX-License-Identifier: MIT
# What both benches on the instruction clock share: figures of a flow, fastd's keys.

# Ticks of 1/100 s in which the CPU was idle.
idle_ticks() { awk '$1 == "cpu" { print $5 + $6; exit }' /proc/stat; }

# peak ROW: the peak of resident memory of near's daemon, if it has one.
peak() {
    [ -e /run/tl-near.pid ] || return 0
    value "$1:peak_kb" "$(peak_kb "$(cat /run/tl-near.pid)")"
}

# sum_received: bytes and seconds of iperf3's report.
sum_received() {
    awk -v row="$1" '
        /"sum_received"/ { inside = 1 }
        inside && /"(bytes|seconds)"/ {
            gsub(/[",:]/, " ")
            print "TL: value " row ":" $1 " " $2
        }
        inside && /}/ { exit }' /tmp/iperf.json
}

iperf_listens() { far netstat -ltn | grep -q ':5201 '; }

# fastd_keys: a key for each side.
fastd_keys() {
    for side in near far; do
        fastd --generate-key >"/tmp/fastd-$side.key" 2>/dev/null
    done
}

# fastd_key Secret|Public SIDE
fastd_key() { sed -n "s/^$1: //p" "/tmp/fastd-$2.key"; }

# fastd_up MODE MTU METHOD [LINES]: one end after the other, as two that begin at once get no answer for
# long; with L2TP the first has no device until there is another.
fastd_up() {
    fastd_keys
    fastd_side near 1 2 far "$@"
    fastd_side far 2 1 near "$@"
}

# fastd_side NAMESPACE OWN PEER PEER_NAMESPACE MODE MTU METHOD [LINES]
fastd_side() {
    cat >"/tmp/fastd-$1.conf" <<END
log level error;
interface "tl-$1";
mode $5;
${8:-}
mtu $6;
method "$7";
bind 192.0.2.$2:10000;
secret "$(fastd_key Secret "$1")";
peer "other" {
    key "$(fastd_key Public "$4")";
    remote 192.0.2.$3 port 10000;
}
END
    in_background "$1" "tl-$1" fastd --config "/tmp/fastd-$1.conf"
    until_true ip -n "$1" link show "tl-$1"
}
