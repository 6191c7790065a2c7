// SPDX-License-Identifier: MIT
// Values and files of tunlite, as the table of options has them: what is wrong with a value, a file as
// sections of UCI, and sections of UCI as a file.
'use strict';
'require baseclass';
'require tunlite.options as options';

const SECTIONS = { interface: 'Interface', group: 'Group', peer: 'Peer' };
// A section that is told to nobody but netifd (the others of the table are).
const NOT_TOLD = [ 'Address', 'MTU', 'Table', 'DNS', 'PreUp', 'PostUp', 'PreDown', 'PostDown', 'SaveConfig' ];

function rowsOf(section) {
	return options.rows.filter((row) => row.section === section);
}

function rowOf(section, name) {
	return rowsOf(section).find((row) => row.name === name || row.uci === name);
}

// The number of a text, NaN for none: hex after 0x, octal after 0 where ip(8) reads it so.
function numberOf(kind, text) {
	if (kind.octal && /^0[0-7]*$/.test(text))
		return parseInt(text, 8);
	if (kind.octal && /^0\d/.test(text))
		return NaN;
	const unit = kind.unit && ' kmg'.indexOf(text.slice(-1).toLowerCase());
	return Number(unit > 0 ? text.slice(0, -1) : text) * (unit > 0 ? kind.unit ** unit : 1);
}

function wrongPiece(kind, text) {
	if ((kind.words || []).includes(text.toLowerCase()))
		return false;
	if (!kind.pattern || !new RegExp('^(?:%s)$'.replace('%s', () => kind.pattern), 'u').test(text))
		return true;
	if (kind.least === undefined || !/^(\d+[kmg]?|0x[0-9a-f]+)$/i.test(text) || text.length === 64)
		return false; // a name of a port, a seed
	const number = numberOf(kind, text);
	return !(number >= kind.least && number <= kind.most);
}

// '' where the browser sees nothing wrong; the plugin's check sees the rest.
function wrong(name, text) {
	const kind = options.kinds[name];
	text = kind.bare ? text.replace(/[ \t]+/g, '') : text.trim();
	const pieces = kind.pieces ? text.split(new RegExp(kind.pieces)).filter((piece) => piece) : [ text ];
	return pieces.some((piece) => wrongPiece(kind, piece)) ? kind.say : '';
}

// ---- files ----

// Hosts of endpoint_host, each with the port of endpoint_port unless it names its own.
function endpoint(hosts, port) {
	return [].concat(hosts || []).join(' ').split(/[ ,]+/).filter((host) => host).map((host) => {
		if (/^\[.*\]:\d+$/.test(host))
			return host;
		if (/^\[/.test(host))
			return host + ':' + port;
		if (/:.*:/.test(host))
			return '[' + host + ']:' + port;
		return host.includes(':') ? host : host + ':' + port;
	}).join(', ');
}

// Of an Endpoint: one host and its port apart, several with theirs.
function endpointParts(text) {
	const all = text.split(',').map((one) => one.trim());
	const one = all[0].match(/^\[?([^\]]*)\]?:(\w+)$/);
	return all.length > 1 || !one ? { endpoint_host: all } : { endpoint_host: one[1], endpoint_port: one[2] };
}

// Lines of one section: [[option of the file, text]], of UCI's values.
function linesOf(section, values) {
	const found = [];
	for (const row of rowsOf(section)) {
		const value = row.kind === 'endpoint'
			? endpoint(values.endpoint_host, values.endpoint_port || '51820') : values[row.uci];
		if (value === undefined || value === null || value === '' || value.length === 0)
			continue;
		if (row.kind === 'hook')
			[].concat(value).forEach((one) => found.push([ row.name, one ]));
		else
			found.push([ row.name, [].concat(value).join(', ') ]);
	}
	return found.map(([ name, text ]) => [ name, String(text).replace(/[\r\n]+/g, ' ') ]);
}

// The text of a file, and whose each line is: {section (as UCI calls it), option}.
function format(sections) {
	const lines = [], owners = [];
	for (const each of sections) {
		lines.push('[' + each.kind + ']');
		owners.push({ section: each.id });
		for (const [ name, text ] of linesOf(each.kind, each.values)) {
			if (each.all || !NOT_TOLD.includes(name)) {
				lines.push(name + ' = ' + text);
				owners.push({ section: each.id, option: name });
			}
		}
	}
	return { text: lines.join('\n') + '\n', owners: owners };
}

function put(values, row, text) {
	if (row.kind === 'endpoint')
		Object.assign(values, endpointParts(text));
	else if (row.kind === 'hook')
		values[row.uci] = (values[row.uci] || []).concat(text);
	else if (row.list)
		values[row.uci] = (values[row.uci] || []).concat(text.split(row.bare ? /[ \t]*,[ \t]*/ : /[ \t,]+/).filter((one) => one));
	else
		values[row.uci] = text;
}

// A file as {interface, groups, peers} of UCI's names, and what of it has no place there.
function parse(text) {
	const found = { interface: {}, groups: [], peers: [], left: [] };
	let section = null, values = null;
	text.split(/\r?\n/).forEach((whole, index) => {
		const line = whole.replace(/#.*/, '').trim();
		const head = line.match(/^\[\s*(\w+)\s*\]$/);
		const pair = line.match(/^(\w+)\s*=\s*(.*)$/);
		if (head) {
			section = SECTIONS[head[1].toLowerCase()];
			values = section === 'Interface' ? found.interface : {};
			if (section === 'Group')
				found.groups.push(values);
			if (section === 'Peer')
				found.peers.push(values);
		}
		const row = section && pair
			? rowsOf(section).find((one) => one.name.toLowerCase() === pair[1].toLowerCase()) : null;
		if (row)
			put(values, row, pair[2]);
		else if (line && !(head && section))
			found.left.push(_('line %d: %s').format(index + 1, pair ? pair[1] : '?'));
	});
	return found;
}

return baseclass.extend({
	rowsOf: rowsOf,
	rowOf: rowOf,
	kinds: options.kinds,
	notTold: NOT_TOLD,
	wrong: wrong,
	endpoint: endpoint,
	format: format,
	parse: parse
});
