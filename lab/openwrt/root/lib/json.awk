# SPDX-License-Identifier: MIT
# Flattens one JSON text to lines PATH<tab>VALUE: routes.1.target. Members of an array are counted from 1.

function fail(why) {
	print "json: " why > "/dev/stderr"
	status = 1
	exit 1
}

function blanks() {
	while (substr(all, at, 1) ~ /^[ \t\n]$/) at++
}

function string(    text, char) {
	text = ""
	for (at++; (char = substr(all, at, 1)) != "\""; at++) {
		if (char == "") fail("a string has no end")
		if (char == "\\") {
			char = substr(all, ++at, 1)
			char = char == "n" ? "\n" : char == "t" ? "\t" : char
		}
		text = text char
	}
	at++
	return text
}

function value(path,    char, count, key, text) {
	blanks()
	char = substr(all, at, 1)
	if (char == "{" || char == "[") {
		at++
		for (;;) {
			blanks()
			if (substr(all, at, 1) ~ /^[]}]$/) break
			key = ++count
			if (char == "{") {
				if (substr(all, at, 1) != "\"") fail("a name is wanted")
				key = string()
				blanks()
				if (substr(all, at++, 1) != ":") fail("a colon is wanted")
			}
			value(path == "" ? key : path "." key)
			blanks()
			if (substr(all, at, 1) == ",") at++
			else if (substr(all, at, 1) !~ /^[]}]$/) fail("a comma is wanted")
		}
		at++
		return
	}
	if (char == "\"") text = string()
	else {
		text = ""
		while (substr(all, at, 1) ~ /^[a-z0-9.+-]$/) text = text substr(all, at++, 1)
		if (text !~ /^(true|false|null|-?[0-9]+(\.[0-9]+)?)$/) fail("no value: " substr(all, at, 20))
	}
	gsub(/\n/, " ", text)
	print path "\t" text
}

{ all = all $0 "\n" }

END {
	if (status) exit status
	at = 1
	value("")
	blanks()
	if (at <= length(all)) fail("more than one value")
}
