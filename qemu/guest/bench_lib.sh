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
