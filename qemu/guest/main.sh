#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the scenarios that TL_SCENARIOS names, each in a shell of its own and from clean.
# shellcheck source=qemu/guest/lib.sh
. /tl/lib.sh
# shellcheck source=qemu/guest/scenarios.sh
. /tl/scenarios.sh

for scenario in $TL_SCENARIOS; do
    begun=$(uptime_s)
    ("scenario_$scenario")
    topology_down
    value "$scenario-seconds" $(($(uptime_s) - begun))
    value "$scenario-free-kbytes" "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)"
done
