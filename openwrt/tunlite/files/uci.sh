#!/bin/sh
# SPDX-License-Identifier: MIT
# From /etc/config/network to a file of tunlite's, and back from its errors: /lib/tunlite/uci.sh, for the
# handler of netifd, the plugin of rpcd and Gluon. Who sources it has sourced /lib/functions.sh and called
# `config_load network`. tests/openwrt/test_uci.py holds the rows below against config/options.py.
# shellcheck shell=dash

TUNLITE=/usr/sbin/tunlite

_tunlite_newline='
'

# What is refused; addresses, mtu and dns mean what they mean everywhere in /etc/config/network.
TUNLITE_REFUSED='pre_up post_up pre_down post_down table save_config'

# $1: an option's name in the file, $2: its value. A value that would begin another line, or lose its end
# as a comment, becomes a line that tunlite_check tells of, without the value.
_tunlite_line() {
	case "$2" in
	'') ;;
	*"$_tunlite_newline"* | *'#'*) printf 'a line break or a # stands in %s\n' "$1" ;;
	*) printf '%s = %s\n' "$1" "$2" ;;
	esac
}

# Each row: the section, the option's name in UCI, its name in the file. The items of a list are parted by
# blanks in both, but where wg leaves blanks out.
_tunlite_put() {
	local value
	config_get value "$1" "$2"
	_tunlite_line "$3" "$value"
}

# Of a list, or of an option with blanks or commas in it, the items, into $items. No process for each peer.
_tunlite_items() {
	config_get items "$1" "$2"
	case "$items" in
	*,*) items="$(printf '%s' "$items" | tr ',' ' ')" ;;
	esac
}

# config_get_bool of OpenWrt forks.
_tunlite_is() {
	local value
	config_get value "$1" "$2"
	case "$value" in
	1 | on | true | yes | enabled) return 0 ;;
	esac
	return 1
}

_tunlite_prefixes() {
	local items prefix all=
	_tunlite_items "$1" "$2"
	for prefix in $items; do
		all="${all:+$all, }$prefix"
	done
	_tunlite_line "$3" "$all"
}

# UCI knows a switch by more words than the file does.
_tunlite_switch() {
	local value
	config_get value "$1" "$2"
	case "$value" in
	1 | true | yes | enabled) value=on ;;
	0 | false | no | disabled) value=off ;;
	esac
	_tunlite_line "$3" "$value"
}

# A text for people may have a # in it, of which the file's parser would make a comment.
_tunlite_words() {
	local value
	config_get value "$1" "$2"
	case "$value" in
	*'#'*) value="$(printf '%s' "$value" | tr -d '#')" ;;
	esac
	_tunlite_line "$3" "$value"
}

_tunlite_command() {
	_tunlite_line "$2" "$1"
}

# Commands have blanks in them: a line for each item of the list.
_tunlite_commands() {
	local items
	config_get items "$1" "$2_LENGTH"
	if [ -n "$items" ]; then
		config_list_foreach "$1" "$2" _tunlite_command "$3"
	else
		_tunlite_put "$1" "$2" "$3"
	fi
}

# Hosts of `endpoint_host`, each with the port of `endpoint_port` unless it names its own: gw1 gw2:1234
# 2001:db8::1 [2001:db8::2]:1234.
_tunlite_endpoint() {
	local hosts port host all=
	config_get hosts "$1" "${2%/*}"
	config_get port "$1" "${2#*/}" 51820
	for host in $hosts; do
		case "$host" in
		\[*\]:*) ;;
		\[*) host="$host:$port" ;;
		*:*:*) host="[$host]:$port" ;;
		*:*) ;;
		*) host="$host:$port" ;;
		esac
		all="${all:+$all, }$host"
	done
	_tunlite_line "$3" "$all"
}

_tunlite_interface() {
	_tunlite_put "$1" private_key PrivateKey
	_tunlite_put "$1" listen_port ListenPort
	_tunlite_put "$1" fwmark FwMark
	_tunlite_commands "$1" on_establish OnEstablish
	_tunlite_commands "$1" on_disestablish OnDisestablish
	_tunlite_put "$1" peers Peers
	_tunlite_commands "$1" on_verify OnVerify
	_tunlite_put "$1" peer_limit PeerLimit
	_tunlite_put "$1" encryption Encryption
	_tunlite_put "$1" path_mtu PathMTU
	_tunlite_put "$1" engine Engine
	_tunlite_put "$1" aead AEAD
	_tunlite_put "$1" offloads Offloads
	_tunlite_put "$1" batch Batch
	_tunlite_put "$1" memory Memory
	_tunlite_put "$1" workers Workers
	_tunlite_put "$1" ring_slots RingSlots
	_tunlite_put "$1" rekey_after RekeyAfter
	_tunlite_put "$1" user User
	_tunlite_put "$1" unix_group SocketGroup
	_tunlite_put "$1" status_socket StatusSocket
	_tunlite_switch "$1" hide_addresses HideAddresses
	_tunlite_put "$1" state_dir StateDir
	_tunlite_put "$1" layer Layer
	_tunlite_switch "$1" forward_peers ForwardPeers
	_tunlite_put "$1" encapsulation Encapsulation
	_tunlite_put "$1" vni VNI
	_tunlite_put "$1" vxlan_dialect VXLANDialect
	_tunlite_put "$1" vxlan_port VXLANPort
	_tunlite_put "$1" vxlan_local VXLANLocal
	_tunlite_put "$1" vxlan_remote VXLANRemote
}

_tunlite_group() {
	local owner
	config_get owner "$1" interface
	[ "$owner" = "$2" ] || return 0
	printf "# config tunlite_group '%s'\n[Group]\n" "$1"
	_tunlite_put "$1" name Name
	_tunlite_put "$1" rate_in RateIn
	_tunlite_put "$1" rate_out RateOut
	_tunlite_put "$1" limit Limit
	_tunlite_put "$1" choose Choose
	_tunlite_put "$1" fail_after FailAfter
	_tunlite_put "$1" probe_address ProbeAddress
	_tunlite_commands "$1" health_command HealthCommand
	_tunlite_put "$1" peer_limit PeerLimit
	_tunlite_put "$1" encryption Encryption
}

_tunlite_peer() {
	_tunlite_is "$1" disabled && return 0
	printf "# config tunlite_%s '%s'\n[Peer]\n" "$2" "$1"
	_tunlite_put "$1" public_key PublicKey
	_tunlite_put "$1" preshared_key PresharedKey
	_tunlite_prefixes "$1" allowed_ips AllowedIPs
	_tunlite_endpoint "$1" endpoint_host/endpoint_port Endpoint
	_tunlite_put "$1" persistent_keepalive PersistentKeepalive
	_tunlite_words "$1" description Description
	_tunlite_put "$1" lifetime Lifetime
	_tunlite_put "$1" group Group
	_tunlite_put "$1" rate_in RateIn
	_tunlite_put "$1" rate_out RateOut
	_tunlite_put "$1" probe_address ProbeAddress
	_tunlite_put "$1" health_address HealthAddress
	_tunlite_put "$1" encryption Encryption
	_tunlite_put "$1" macs MACs
}

# Prints the file of interface $1: `config interface`, its groups (`config tunlite_group` with `option
# interface`) and its peers (`config tunlite_$1`). There are keys in it.
tunlite_config() {
	printf "# config interface '%s'\n[Interface]\n" "$1"
	_tunlite_interface "$1"
	config_foreach _tunlite_group tunlite_group "$1"
	config_foreach _tunlite_peer "tunlite_$1" "$1"
}

_tunlite_routed() {
	! _tunlite_is "$1" route_allowed_ips || printf ' %s' "$1"
}

# Writes the file of interface $1 to $2. Below it, as a comment, stands what is netifd's of it, so that a
# file that is equal means an interface that is.
tunlite_write() {
	local addresses prefixes mtu
	config_get addresses "$1" addresses
	config_get prefixes "$1" ip6prefix
	config_get mtu "$1" mtu
	(
		umask 077
		{
			tunlite_config "$1"
			printf '# netifd: addresses %s prefixes %s mtu %s routes of%s\n' "$addresses" "$prefixes" "$mtu" \
				"$(config_foreach _tunlite_routed "tunlite_$1")"
		} >"$2"
	)
}

_tunlite_refusals() {
	local option value
	for option in $TUNLITE_REFUSED; do
		config_get value "$1" "$option"
		case "$option:$value" in
		*:) ;;
		table:*) echo "$1.table: routes are netifd's; write ip4table and ip6table" ;;
		save_config:*) echo "$1.save_config: UCI keeps the configuration; remove it" ;;
		*) echo "$1.$option: what comes before and after is netifd's; write on_establish, or a script in /etc/hotplug.d/iface" ;;
		esac
	done
	config_get value "$1" private_key
	[ -n "$value" ] || echo "$1.private_key: there is none; write generate to have one made"
}

# Says what is wrong with interface $1, whose file tunlite_config wrote to $2: lines of SECTION.OPTION:
# what is wrong; what to do. The status is 0 where nothing is.
tunlite_check() {
	local wrong
	# shellcheck disable=SC2016 # awk's $
	wrong="$(
		_tunlite_refusals "$1"
		"$TUNLITE" check "$2" 2>&1 | awk -v file="$2" -v interface="$1" '
			FILENAME ~ /uci.sh$/ { if ($1 ~ /^_tunlite_/ && $2 == "\"$1\"") { sub("/.*", "", $3); uci[$4] = $3 } next }
			FILENAME == file { line[FNR] = $0; if (/^# config /) { split($0, part, "\047"); at = part[2] } owner[FNR] = at; next }
			/^warning: / { next }
			index($0, file ":") == 1 {
				number = words = substr($0, length(file) + 2)
				at = interface
				if (sub(/^[0-9]+: /, "", words)) {
					number += 0
					at = owner[number]
					if (line[number] ~ /^a line break /) { words = line[number]; sub(/^.* /, "", words); words = words ": a line break or a # stands in it; remove that" }
				}
				option = words
				sub(/:.*/, "", option)
				sub(/^ */, "", words)
				if (option in uci) { print at "." uci[option] substr(words, length(option) + 1); next }
				print at ": " words
				next
			}
			{ print interface ": " $0 }
		' /lib/tunlite/uci.sh "$2" -
	)"
	[ -n "$wrong" ] || return 0
	printf '%s\n' "$wrong"
	return 1
}
