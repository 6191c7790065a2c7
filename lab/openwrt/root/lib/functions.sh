#!/bin/sh
# SPDX-License-Identifier: MIT
# A stand-in for OpenWrt's shell library: what handlers and plugins use of it, with the same rules.
# shellcheck shell=dash

# Who sources it may define these.
config_cb() { :; }

# How `uci export` writes a file: package, config, option and list are commands.
package() { :; }

config() {
	_sections=$((_sections + 1))
	_section="${2:-cfg$_sections}"
	CONFIG_SECTIONS="${CONFIG_SECTIONS:+$CONFIG_SECTIONS }$_section"
	config_set "$_section" TYPE "$1"
	config_cb "$1" "$_section"
}

option() {
	config_set "$_section" "$1" "$2"
}

# A list is also an option, its items with blanks between them.
list() {
	local count before
	config_get count "$_section" "$1_LENGTH" 0
	config_get before "$_section" "$1"
	_lists="$_lists ${_section}_$1"
	count=$((count + 1))
	config_set "$_section" "$1_ITEM$count" "$2"
	config_set "$_section" "$1_LENGTH" "$count"
	config_set "$_section" "$1" "${before:+$before }$2"
}

# Of an earlier load only the lists are forgotten, as they would be twice as long.
config_load() {
	local text
	for _name in $_lists; do
		eval "CONFIG_$_name= CONFIG_${_name}_LENGTH="
	done
	CONFIG_SECTIONS=
	_lists=
	_sections=0
	text="$(uci -q -n export "$1")" || return 1
	eval "$text"
}

config_set() {
	eval "CONFIG_${1}_$2=\$3"
}

# $1: variable, $2: section, $3: option, $4: default. A name with another character than a variable may
# have sets nothing.
config_get() {
	case "$2$3" in
	*[!A-Za-z0-9_]*) ;;
	*) eval "$1=\${CONFIG_${2}_$3:-\$4}" ;;
	esac
}

config_get_bool() {
	local _bool
	config_get _bool "$2" "$3" "$4"
	case "$_bool" in
	1 | on | true | yes | enabled) _bool=1 ;;
	0 | off | false | no | disabled) _bool=0 ;;
	*) _bool="$4" ;;
	esac
	eval "$1=\$_bool"
}

# $1: function, called with the section and what else stands here; $2: type, "" for any.
config_foreach() {
	local _call="$1" _type="${2:-}" _found section
	shift
	[ $# -eq 0 ] || shift
	for section in $CONFIG_SECTIONS; do
		config_get _found "$section" TYPE
		[ -n "$_type" ] && [ "$_type" != "$_found" ] && continue
		"$_call" "$section" "$@"
	done
}

# Items of a list alone: an option is none, not even of one item.
config_list_foreach() {
	local _from="$1" _option="$2" _call="$3" _count _at=1 _item
	shift 3
	config_get _count "$_from" "${_option}_LENGTH" 0
	while [ "$_at" -le "$_count" ]; do
		config_get _item "$_from" "${_option}_ITEM$_at"
		"$_call" "$_item" "$@"
		_at=$((_at + 1))
	done
}
