# SPDX-License-Identifier: MIT
# Reads a file of UCI, sets what SETS says (lines SECTION.OPTION=VALUE, or SECTION=TYPE) and prints it as
# `uci export` does, or, with GET, one option's value.

function token(    first, text, quote) {
	while (at <= size && (first = substr(all, at, 1)) ~ /[ \t]/) at++
	if (at > size || first == "\n" || first == "#") return 0
	text = ""
	while (at <= size && (first = substr(all, at, 1)) !~ /[ \t\n]/) {
		if (first == "'" || first == "\"") {
			quote = first
			for (at++; at <= size && (first = substr(all, at, 1)) != quote; at++) text = text first
			at++
		} else if (first == "\\") {
			text = text substr(all, at + 1, 1)
			at += 2
		} else {
			text = text first
			at++
		}
	}
	word[++words] = text
	return 1
}

function begin(type, name) {
	if (name == "") name = sprintf("cfg%02x", sections + 1)
	if (!(name in types)) order[++sections] = name
	types[name] = type
	options[name] = options[name]
	now = name
}

function keep(kind, option, value,    count) {
	if (!((now, option) in kinds)) options[now] = options[now] option "\n"
	count = kind == "list" && kinds[now, option] == "list" ? counts[now, option] + 1 : 1
	kinds[now, option] = kind
	counts[now, option] = count
	values[now, option, count] = value
}

function quoted(text) {
	gsub("'", "'\\''", text)
	return "'" text "'"
}

function change(line,    place, value) {
	place = value = line
	sub(/=.*/, "", place)
	value = substr(line, length(place) + 2)
	if (split(place, part, ".") == 1) { begin(value, part[1]); return }
	now = part[1]
	if (now in types) keep("option", part[2], value)
}

{ all = all $0 "\n" }

END {
	size = length(all)
	for (at = 1; at <= size; at++) {
		words = 0
		while (token()) ;
		while (at <= size && substr(all, at, 1) != "\n") at++
		if (words == 0) continue
		if (word[1] == "config") begin(word[2], words > 2 ? word[3] : "")
		else if (word[1] == "option" || word[1] == "list") keep(word[1], word[2], word[3])
	}
	count = split(ENVIRON["SETS"], lines, "\n")
	for (i = 1; i <= count; i++) if (lines[i] != "") change(lines[i])
	if (GET != "") {
		split(GET, part, ".")
		if (!((part[1], part[2]) in kinds)) exit 1
		for (n = 1; n <= counts[part[1], part[2]]; n++) printf("%s%s", (n == 1 ? "" : " "), values[part[1], part[2], n])
		printf "\n"
		exit
	}
	for (i = 1; i <= sections; i++) {
		name = order[i]
		printf "config %s %s\n", types[name], quoted(name)
		count = split(options[name], part, "\n")
		for (n = 1; n < count; n++)
			for (m = 1; m <= counts[name, part[n]]; m++)
				printf "\t%s %s %s\n", kinds[name, part[n]], part[n], quoted(values[name, part[n], m])
		printf "\n"
	}
}
