#!/bin/sh
# SPDX-License-Identifier: MIT
# A stand-in for the library that handlers of netifd source: what they declare is printed, what they notify
# goes to netifd by `ubus call network.interface notify_proto`.
# shellcheck shell=dash

_text() {
	case "$1" in
	*[\\\"]* | *'
'*) _text="$(printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e ':a' -e 'N' -e '$!ba' -e 's/\n/\\n/g')" ;;
	*) _text="$1" ;;
	esac
	_text="\"$_text\""
}

# Members of the object, or of the array, that is under construction.
_add() {
	_members="${_members:+$_members, }$1"
}

_add_text() {
	_text "$2"
	_add "\"$1\": $_text"
}

_begin() {
	_members=
	_add "\"action\": $1"
}

_notify() {
	local options="${2:-}"
	_add_text interface "$1"
	# shellcheck disable=SC2086
	ubus $options call network.interface notify_proto "{ $_members }"
}

# ---- what a protocol declares --------------------------------------------------------------------

proto_config_add_string() { _add "[\"$1\", 3]"; }
proto_config_add_int() { _add "[\"$1\", 5]"; }
proto_config_add_boolean() { _add "[\"$1\", 7]"; }
proto_config_add_array() { _add "[\"${1%%:*}\", 1]"; }
proto_config_add_defaults() {
	proto_config_add_boolean defaultroute
	proto_config_add_boolean peerdns
	proto_config_add_int metric
}

_flag() {
	_flags="$_flags, \"$1\": $([ "${2:-0}" = 1 ] && echo true || echo false)"
}

_dump() {
	local no_device=0 no_proto_task=0 available=0 renew_handler=0 lasterror=0
	_members=
	_flags=
	"proto_$1_init_config"
	_flag no-device "$no_device"
	_flag no-proto-task "$no_proto_task"
	_flag available "$available"
	_flag renew-handler "$renew_handler"
	_flag lasterror "$lasterror"
	echo "{ \"name\": \"$1\", \"config\": [ $_members ]$_flags }"
}

# ---- an update -----------------------------------------------------------------------------------

proto_init_update() {
	_keep=0
	_ipaddr='' _ip6addr='' _routes='' _routes6='' _ip6prefix=''
	_begin 0
	[ -z "$1" ] || [ "$1" = '*' ] || _add_text ifname "$1"
	_add "\"link-up\": $([ "$2" = 1 ] && echo true || echo false)"
}

proto_set_keep() { _keep="$1"; }

_pair() {
	_pair="{ \"$1\": \"$2\", \"$3\": \"$4\" }"
}

proto_add_ipv4_address() {
	_pair ipaddr "$1" mask "$2"
	_ipaddr="${_ipaddr:+$_ipaddr, }$_pair"
}

proto_add_ipv6_address() {
	_pair ipaddr "$1" mask "$2"
	_ip6addr="${_ip6addr:+$_ip6addr, }$_pair"
}

proto_add_ipv4_route() {
	_pair target "$1" netmask "$2"
	_routes="${_routes:+$_routes, }$_pair"
}

proto_add_ipv6_route() {
	_pair target "$1" netmask "$2"
	_routes6="${_routes6:+$_routes6, }$_pair"
}

proto_add_ipv6_prefix() {
	_text "$1"
	_ip6prefix="${_ip6prefix:+$_ip6prefix, }$_text"
}

proto_send_update() {
	_add "\"keep\": $([ "$_keep" = 1 ] && echo true || echo false)"
	[ -z "$_ipaddr" ] || _add "\"ipaddr\": [ $_ipaddr ]"
	[ -z "$_ip6addr" ] || _add "\"ip6addr\": [ $_ip6addr ]"
	[ -z "$_routes" ] || _add "\"routes\": [ $_routes ]"
	[ -z "$_routes6" ] || _add "\"routes6\": [ $_routes6 ]"
	[ -z "$_ip6prefix" ] || _add "\"ip6prefix\": [ $_ip6prefix ]"
	_notify "$1"
}

# ---- the other notifications ---------------------------------------------------------------------

# $1: name of the array; $2...: its texts.
_add_texts() {
	local name="$1" all=
	shift
	for _word in "$@"; do
		_text "$_word"
		all="${all:+$all, }$_text"
	done
	_add "\"$name\": [ $all ]"
}

proto_export() {
	_exported="${_exported:+$_exported
}$1"
}

proto_run_command() {
	local interface="$1"
	shift
	_begin 1
	_add_texts command "$@"
	if [ -n "${_exported:-}" ]; then
		local IFS='
'
		# shellcheck disable=SC2086
		_add_texts env $_exported
	fi
	_notify "$interface"
}

proto_kill_command() {
	_begin 2
	[ -z "${2:-}" ] || _add "\"signal\": $2"
	_notify "$1"
}

proto_notify_error() {
	local interface="$1"
	shift
	_begin 3
	_add_texts error "$@"
	_notify "$interface"
}

proto_block_restart() {
	_begin 4
	_notify "$1"
}

proto_set_available() {
	_begin 5
	_add "\"available\": $([ "$2" = 1 ] && echo true || echo false)"
	_notify "$1"
}

proto_add_host_dependency() {
	_begin 6
	_add_text host "$2"
	[ -z "${3:-}" ] || _add_text ifname "$3"
	_notify "$1" -S
}

proto_setup_failed() {
	_begin 7
	_notify "$1"
}

# ---- how netifd calls a handler ------------------------------------------------------------------

# '' dump; or PROTO setup|teardown|renew INTERFACE JSON
init_proto() {
	_protocol="$1"
	_verb="$2"
	_interface="${3:-}"
}

add_protocol() {
	if [ "$_verb" = dump ]; then
		_dump "$1"
	elif [ "$_protocol" = "$1" ]; then
		"proto_$1_$_verb" "$_interface"
	fi
}
