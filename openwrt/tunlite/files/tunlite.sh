#!/bin/sh
# SPDX-License-Identifier: MIT
# The handler of `proto tunlite`, /lib/netifd/proto/tunlite.sh: netifd runs it as PROTO setup|renew|teardown
# INTERFACE JSON. The daemon is `tunlite run --bare`, a child of netifd's, and ends with it; addresses, MTU
# and routes are netifd's. What the daemon was given lies in $RUN/INTERFACE.conf.
# shellcheck shell=dash

[ -n "${INCLUDE_ONLY:-}" ] || {
	. /lib/functions.sh
	. ../netifd-proto.sh
	init_proto "$@"
}
. /lib/tunlite/uci.sh

RUN=/var/run/tunlite/netifd
EVENTS=/usr/lib/tunlite/event # tells ubus; of luci-proto-tunlite

# What takes an interface down when it changes; netifd compares these itself. They stand in the arguments
# of this script, which everybody may read: no key, no command.
proto_tunlite_init_config() {
	# shellcheck disable=SC2034 # netifd-proto.sh reads them
	available=1 no_device=1 renew_handler=1 lasterror=1
	proto_config_add_string tunnel_device
	proto_config_add_string tunlink
	proto_config_add_boolean nohostroute
	proto_config_add_string heap
	proto_config_add_string engine
	proto_config_add_string aead
	proto_config_add_array offloads
	proto_config_add_string batch
	proto_config_add_string memory
	proto_config_add_string workers
	proto_config_add_string ring_slots
	proto_config_add_string rekey_after
	proto_config_add_string user
	proto_config_add_string unix_group
	proto_config_add_string status_socket
	proto_config_add_string hide_addresses
	proto_config_add_string state_dir
	proto_config_add_string layer
	proto_config_add_string forward_peers
	proto_config_add_string encapsulation
	proto_config_add_string vni
	proto_config_add_string vxlan_dialect
	proto_config_add_string vxlan_port
	proto_config_add_string vxlan_local
	proto_config_add_string vxlan_remote
}

# ---- what is written -----------------------------------------------------------------------------

# $1: interface. A key goes to uci by its stdin.
_tunlite_key() {
	local key
	config_get key "$1" private_key
	[ "$key" = generate ] || return 0
	key="$("$TUNLITE" genkey)" || return 0
	printf "set network.%s.private_key='%s'\ncommit network\n" "$1" "$key" | uci -q batch
	config_load network
}

# $1: interface, $2: code, $3: words, of which the first lines are told.
_tunlite_error() {
	local interface="$1" code="$2" IFS='
'
	set -f
	# shellcheck disable=SC2086
	set -- $3
	set +f
	unset IFS
	proto_notify_error "$interface" "$code" "$@"
}

# ---- endpoints that the tunnel would swallow -----------------------------------------------------

_tunlite_networks() {
	local items
	_tunlite_is "$1" route_allowed_ips || return 0
	_tunlite_items "$1" allowed_ips
	printf 'network %s\n' "$items"
}

# $1: a name of a host. Lines: host NAME ADDRESS, in hex digits, of what is known of it within seconds.
_tunlite_resolved() {
	printf '%s 0\n' "$1" | "$TUNLITE" --resolve |
		sed -e 's/\[\([0-9]*\), "\([0-9a-f]*\)"[^]]*\]/\n\2\n/g' | sed -n "s/^\([0-9a-f]\{8,32\}\)$/host $1 \1/p"
}

# Of the endpoints of file $1 lines host TEXT TEXT, or host NAME HEX. Names that file $2 has are left out;
# file $3 is made where one has no address.
_tunlite_endpoints() {
	local host found
	sed -n -e 's/^Endpoint = //' -e 't found' -e 'd' -e ':found' -e 's/, /\n/g' -e 'p' "$1" |
		sed -e 's/:[0-9a-z-]*$//' -e 's/^\[\(.*\)\]$/\1/' | sort -u | while read -r host; do
		case "$host" in
		*:* | *[0-9].*[0-9]) echo "host $host $host" ;;
		*)
			if ! grep -q "^$host " "$2" 2>/dev/null; then
				found="$(_tunlite_resolved "$host")"
				printf '%s\n' "$found"
				[ -n "$found" ] || : >"$3"
			fi
			;;
		esac
	done
}

# Which of those lines lie in a network that is routed into the tunnel: lines of NAME ADDRESS.
# shellcheck disable=SC2016
_tunlite_inside='
	function bits(text,    i, n, m, part, half, before, after, hex) {
		if (text ~ /\./) {
			n = split(text, part, ".")
			for (i = 1; i <= n; i++) hex = hex sprintf("%02x", part[i])
		} else if (text ~ /:/) {
			sub(/%.*/, "", text)
			n = split(text, half, "::")
			before = split(half[1], part, ":")
			for (i = 1; i <= before; i++) hex = hex substr("0000" part[i], length(part[i]) + 1)
			if (n > 1) {
				after = split(half[2], part, ":")
				for (i = before + after; i < 8; i++) hex = hex "0000"
				for (i = 1; i <= after; i++) hex = hex substr("0000" part[i], length(part[i]) + 1)
			}
		} else hex = text
		hex = tolower(hex)
		text = ""
		for (i = 1; i <= length(hex); i++) text = text digit[substr(hex, i, 1)]
		return text
	}
	function written(hex,    i, text) {
		if (hex ~ /[.:]/) return hex
		for (i = 1; i <= length(hex); i += length(hex) == 8 ? 2 : 4)
			text = text (i > 1 ? (length(hex) == 8 ? "." : ":") : "") (length(hex) == 8 ? \
				16 * index("123456789abcdef", substr(hex, i, 1)) + index("123456789abcdef", substr(hex, i + 1, 1)) : substr(hex, i, 4))
		return text
	}
	BEGIN {
		for (n = 0; n < 16; n++)
			digit[substr("0123456789abcdef", n + 1, 1)] = int(n / 8) % 2 int(n / 4) % 2 int(n / 2) % 2 n % 2
	}
	$1 == "network" {
		for (n = 2; n <= NF; n++) {
			split($n, part, "/")
			count++
			wide[count] = bits(part[1])
			whole[count] = length(wide[count])
			size[count] = part[2] == "" ? whole[count] : part[2]
		}
	}
	$1 == "host" {
		found = bits($3)
		for (n = 1; n <= count; n++)
			if (length(found) == whole[n] && substr(found, 1, size[n]) == substr(wide[n], 1, size[n])) {
				print $2, written($3)
				break
			}
	}
'

# Prints NAME ADDRESS of each endpoint of interface $1, file $2 and device $3 that its routes would lead
# into the tunnel, where there is another way to it: netifd takes an interface down that depends on a host
# without one. Where one has none yet, or a name no address, /etc/hotplug.d/iface has us called again.
_tunlite_swallowed() {
	local networks family name address waits="$RUN/$1.waits"
	rm -f "$waits"
	_tunlite_is "$1" nohostroute && return 0
	networks="$(config_foreach _tunlite_networks "tunlite_$1")"
	[ -n "$networks" ] || return 0
	{
		echo "$networks"
		_tunlite_endpoints "$2" "$RUN/$1.hosts" "$waits"
	} | awk "$_tunlite_inside" | while read -r name address; do
		case "$address" in
		*:*) family=6 ;;
		*) family=4 ;;
		esac
		if ip "-$family" route show default | grep -qv " dev $3 "; then
			echo "$name $address"
		else
			: >"$waits"
		fi
	done
}

# ---- the device ----------------------------------------------------------------------------------

# What a netifd that was killed left under device $2 of interface $1 is taken down; anything else of that
# name is somebody's, and the daemon says so.
_tunlite_clear() {
	if grep -q "\"$RUN/$1.conf\"" "/var/run/tunlite/$2.json" 2>/dev/null; then
		"$TUNLITE" down "$2"
	fi
}

# $1: interface, $2: device; without `option mtu` what it began with.
_tunlite_mtu() {
	local mtu
	config_get mtu "$1" mtu "$(cat "$RUN/$1.mtu")"
	ip link set dev "$2" mtu "$mtu"
}

# $1: address or route, $2: ADDRESS[/LENGTH]; without a length it is one host's.
_tunlite_add() {
	case "$2" in
	*:*/*) "proto_add_ipv6_$1" "${2%/*}" "${2#*/}" ;;
	*:*) "proto_add_ipv6_$1" "$2" 128 ;;
	*/*) "proto_add_ipv4_$1" "${2%/*}" "${2#*/}" ;;
	*) "proto_add_ipv4_$1" "$2" 32 ;;
	esac
}

_tunlite_routes() {
	local items prefix
	_tunlite_is "$1" route_allowed_ips || return 0
	_tunlite_items "$1" allowed_ips
	for prefix in $items; do
		_tunlite_add route "$prefix"
	done
}

# Without proto_set_keep: what is not named goes, and what others set stays, with no transition.
_tunlite_update() {
	local items prefixes address
	_tunlite_items "$1" addresses
	config_get prefixes "$1" ip6prefix
	proto_init_update "$2" 1
	for address in $items; do
		_tunlite_add address "$address"
	done
	config_foreach _tunlite_routes "tunlite_$1"
	for address in $prefixes; do
		proto_add_ipv6_prefix "$address"
	done
	proto_send_update "$1"
}

# ---- what netifd calls ---------------------------------------------------------------------------

# It fails until somebody changes something. The init script looks whether that has happened: a renew does
# not reach an interface that is down.
_tunlite_never() {
	cp "$RUN/$1.conf" "$RUN/$1.blocked"
	proto_block_restart "$1"
}

proto_tunlite_setup() {
	local interface="$1" device heap words tunlink name address events=
	config_load network
	# tunlite makes the upper one so too; the keys are in the lower one.
	[ -d "${RUN%/*}" ] || mkdir -m 0711 "${RUN%/*}"
	[ -d "$RUN" ] || mkdir -m 0700 "$RUN"
	rm -f "$RUN/$interface".*
	_tunlite_key "$interface"
	config_get device "$interface" tunnel_device "$interface"
	config_get heap "$interface" heap
	config_get tunlink "$interface" tunlink
	tunlite_write "$interface" "$RUN/$interface.conf"
	if ! words="$(tunlite_check "$interface" "$RUN/$interface.conf")"; then
		_tunlite_error "$interface" INVALID_CONFIG "$words"
		_tunlite_never "$interface"
		proto_setup_failed "$interface"
		return
	fi
	_tunlite_clear "$interface" "$device"
	[ ! -x "$EVENTS" ] || events="$EVENTS"
	# If it ends before we do, netifd ends us and calls teardown.
	proto_run_command "$interface" ${events:+"$events"} "$TUNLITE" ${heap:+--heap "$heap"} run --bare --no-new-privs \
		--parent "$PPID" --config "$RUN/$interface.conf" --interface "$device"
	if ! "$TUNLITE" addconf --wait 10 "$device" /dev/null; then
		_tunlite_error "$interface" NO_ANSWER "the daemon does not answer; logread -e netifd"
		proto_setup_failed "$interface"
		return
	fi
	ip link show dev "$device" | sed -n 's/.* mtu \([0-9]*\) .*/\1/p' >"$RUN/$interface.mtu"
	_tunlite_mtu "$interface" "$device"
	_tunlite_swallowed "$interface" "$RUN/$interface.conf" "$device" >"$RUN/$interface.hosts"
	while read -r name address; do
		proto_add_host_dependency "$interface" "$address" "$tunlink"
	done <"$RUN/$interface.hosts"
	_tunlite_update "$interface" "$device"
	(umask 077 && cp "$RUN/$interface.conf" "$RUN/$interface.applied")
}

# Whether file $2 has commands or a folder of peers and file $1 has none: who runs them is made at the
# daemon's start.
_tunlite_first_command() {
	local options='^\(OnEstablish\|OnDisestablish\|OnVerify\|Peers\|HealthCommand\) = '
	! grep -q "$options" "$1" && grep -q "$options" "$2"
}

# Endpoints that are swallowed from now on. 1: only a new set-up can help.
_tunlite_new_hosts() {
	local name address tunlink
	config_get tunlink "$1" tunlink
	_tunlite_swallowed "$1" "$2" "$3" >"$RUN/$1.hosts.new"
	while read -r name address; do
		if ! grep -q " $address$" "$RUN/$1.hosts"; then
			# netifd would look for the way in our own routes too.
			[ -n "$tunlink" ] || return 1
			proto_add_host_dependency "$1" "$address" "$tunlink"
			echo "$name $address" >>"$RUN/$1.hosts"
		fi
	done <"$RUN/$1.hosts.new"
}

proto_tunlite_renew() {
	local interface="$1" device words new="$RUN/$1.conf.new"
	config_load network
	[ -f "$RUN/$interface.applied" ] || return 0
	config_get device "$interface" tunnel_device "$interface"
	tunlite_write "$interface" "$new"
	if ! cmp -s "$new" "$RUN/$interface.applied"; then
		cmp -s "$new" "$RUN/$interface.refused" && return
		if ! words="$(tunlite_check "$interface" "$new")"; then
			_tunlite_error "$interface" INVALID_CONFIG "$words"
			mv "$new" "$RUN/$interface.refused"
			return
		fi
	fi
	if ! _tunlite_new_hosts "$interface" "$new" "$device" || _tunlite_first_command "$RUN/$interface.applied" "$new"; then
		proto_setup_failed "$interface"
		return
	fi
	# Anything else would take away the peers that others added.
	cmp -s "$new" "$RUN/$interface.applied" && return
	mv "$new" "$RUN/$interface.conf"
	if ! words="$("$TUNLITE" reload "$device" 2>&1)"; then
		_tunlite_error "$interface" NOT_APPLIED "$words"
		return
	fi
	_tunlite_mtu "$interface" "$device"
	_tunlite_update "$interface" "$device"
	(umask 077 && cp "$RUN/$interface.conf" "$RUN/$interface.applied")
}

# ERROR: how a daemon ended by itself. netifd starts anew at once, and waits 5 s for us.
proto_tunlite_teardown() {
	local interface="$1"
	case "${ERROR:-}" in
	'') ;;
	2 | 78)
		_tunlite_error "$interface" NEVER "the daemon does not start so; logread -e netifd"
		_tunlite_never "$interface"
		;;
	*)
		_tunlite_error "$interface" AGAIN "the daemon has ended; logread -e netifd"
		sleep 4
		;;
	esac
	proto_kill_command "$interface"
	for file in conf conf.new applied refused hosts hosts.new waits mtu; do
		rm -f "$RUN/$interface.$file"
	done
}

[ -n "${INCLUDE_ONLY:-}" ] || add_protocol tunlite
