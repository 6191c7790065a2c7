#!/bin/sh
# SPDX-License-Identifier: MIT
# A router for the host: runs tunlite by each configuration that comes in on port 9000.
ip link set eth0 up
ip addr add 10.66.0.2/24 dev eth0
ip route add default via 10.66.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
mkdir -p /tmp/state
umask 077
daemon=
echo "TL: ok ready"
while nc -l -p 9000 >/tmp/next && [ -s /tmp/next ]; do
    mv /tmp/next /tmp/mesh.conf
    if [ -n "$daemon" ]; then
        kill "$daemon"
        wait "$daemon"
    fi
    tunlite run --config /tmp/mesh.conf &
    daemon=$!
done
