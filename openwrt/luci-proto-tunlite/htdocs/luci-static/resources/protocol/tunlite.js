// SPDX-License-Identifier: MIT
// The form of `option proto 'tunlite'`. Its options, their help and what is a good value come from the
// table in tunlite/options.js; what no pattern can say is asked of the plugin's check before all is saved.
'use strict';
'require ui';
'require uci';
'require rpc';
'require form';
'require network';
'require tunlite.text as text';

const callInfo = rpc.declare({ object: 'tunlite', method: 'info' });
const callCheck = rpc.declare({ object: 'tunlite', method: 'check', params: [ 'config' ] });
const callKeys = rpc.declare({ object: 'tunlite', method: 'generateKeyPair' });
const callPsk = rpc.declare({ object: 'tunlite', method: 'generatePsk' });
const callNext = rpc.declare({ object: 'tunlite', method: 'nextAddress', params: [ 'interface', 'own', 'taken' ] });
const callPublic = rpc.declare({
	object: 'tunlite', method: 'getPublicAndPrivateKeyFromPrivate', params: [ 'privkey' ]
});
const callQr = rpc.declare({ object: 'tunlite', method: 'qrcode', params: [ 'config' ] });

// Where an option stands; every other one of [Interface] is advanced. Of those that are not here DNS and
// routes are everybody's in LuCI, and commands before and after are netifd's.
const GENERAL = [ 'PrivateKey', 'ListenPort', 'Address' ];
const LAYER2 = [ 'Layer', 'ForwardPeers', 'PathMTU', 'Encryption', 'Encapsulation', 'VNI', 'VXLANDialect',
	'VXLANPort', 'VXLANLocal', 'VXLANRemote' ];
const NOT_HERE = [ 'DNS', 'Table', 'PreUp', 'PostUp', 'PreDown', 'PostDown', 'SaveConfig' ];
const FIRST = [ 'Description', 'PublicKey', 'PresharedKey', 'AllowedIPs', 'Endpoint', 'PersistentKeepalive', 'Group' ];
const IN_ROW = [ 'Name', 'Description', 'PublicKey', 'AllowedIPs', 'Endpoint', 'Limit', 'Choose' ];
const TITLES = {
	PrivateKey: _('Private key'), ListenPort: _('Listen port'), Address: _('Addresses'), MTU: _('MTU'),
	FwMark: _('Firewall mark'), PublicKey: _('Public key'), PresharedKey: _('Preshared key'),
	AllowedIPs: _('Allowed IPs'), PersistentKeepalive: _('Keepalive'), Description: _('Name'),
	Peers: _('Folder of peers'), SocketGroup: _('Unix group'), MACs: _('MAC addresses')
};

// Keys that were made for a peer here: they go into its file, and nowhere else.
const made = {};

function title(row) {
	return TITLES[row.name] || row.name.replace(/([a-z])([A-Z])/g, '$1 $2')
		.replace(/ ([A-Z])([a-z])/g, (all, first, next) => ' ' + first.toLowerCase() + next);
}

function help(row) {
	const words = row.help.charAt(0).toUpperCase() + row.help.slice(1) + '.';
	return row.start ? words + ' ' + _('A change restarts the tunnel.') : words;
}

function validator(kind) {
	return function(section_id, value) {
		const fault = value ? text.wrong(kind, value) : '';
		return fault ? _('Expecting: %s').format(fault) : true;
	};
}

// ---- one option of the table as a field ----

function fieldOf(row) {
	const words = text.kinds[row.kind].words || [];
	if (row.kind === 'switch')
		return form.ListValue;
	if (row.kind === 'layer' || words.length > 1 && row.kind !== 'modes' && !text.kinds[row.kind].pattern)
		return form.ListValue;
	return row.list ? form.DynamicList : form.Value;
}

function add(row, option) {
	const o = option(fieldOf(row), row.uci, title(row), help(row));
	const choices = row.kind === 'layer' ? [ '3', '2' ] : text.kinds[row.kind].words;
	if (o instanceof form.ListValue) {
		o.value('', _('%s (as if left out)').format(row.default));
		choices.filter((word) => word !== row.default).forEach((word) => o.value(word));
	}
	o.placeholder = [ 'none', 'required' ].includes(row.default) ? '' : row.default;
	o.password = row.kind === 'secret';
	o.optional = row.default !== 'required';
	o.rmempty = o.optional;
	o.validate = validator(row.kind);
	return o;
}

function addEndpoint(ss) {
	const row = text.rowOf('Peer', 'Endpoint');
	const host = ss.option(form.DynamicList, 'endpoint_host', _('Endpoint host'),
		_('Names or addresses, asked in turn until one answers. One may carry a port of its own: host:port.'));
	host.optional = true;
	host.modalonly = true;
	host.validate = function(section_id, value) {
		return validator(row.kind)(section_id, value ? text.endpoint(value, '51820') : '');
	};
	const port = ss.option(form.Value, 'endpoint_port', _('Endpoint port'), _('Of hosts without one.'));
	port.placeholder = '51820';
	port.optional = true;
	port.modalonly = true;
	port.validate = validator('port');
}

// ---- the check of the whole ----

function sectionsOf(interface_id, given) {
	const values = (section) => Object.assign({}, section, (given || {})[section['.name']]);
	const found = [ { kind: 'Interface', id: interface_id,
		values: values(uci.get('network', interface_id) || { '.name': interface_id }) } ];
	uci.sections('network', 'tunlite_group', (section) => {
		if (values(section).interface === interface_id)
			found.push({ kind: 'Group', id: section['.name'], values: values(section) });
	});
	uci.sections('network', 'tunlite_' + interface_id, (section) => {
		if (section.disabled !== '1')
			found.push({ kind: 'Peer', id: section['.name'], values: values(section) });
	});
	return found;
}

function nameOf(section) {
	return section.values.description || section.values.name || section.id;
}

// Words for each error of the configuration as it would be saved.
function faults(interface_id, given) {
	const sections = sectionsOf(interface_id, given);
	const file = text.format(sections);
	return callCheck(file.text).then((answer) => (answer.errors || []).map((fault) => {
		const owner = file.owners[fault.line - 1];
		const section = owner && sections.find((one) => one.id === owner.section);
		const whose = section && section.kind !== 'Interface' ? nameOf(section) + ', ' : '';
		const row = section && text.rowOf(section.kind, fault.option);
		return whose + (row ? title(row) : fault.option || _('the whole')) + ': ' + fault.text;
	}));
}

function typed(s, section_id, kind) {
	const values = {};
	for (const row of text.rowsOf(kind)) {
		for (const name of row.uci.split('/')) {
			if (s.getOption(name))
				values[name] = s.getOption(name).formvalue(section_id);
		}
	}
	return { [section_id]: values };
}

// A field that shows nothing and keeps what is wrong from being saved.
const Check = form.DummyValue.extend({
	renderWidget: function() {
		return E('div', { 'class': 'tunlite-faults', 'style': 'white-space:pre-line' });
	},

	parse: function(section_id) {
		const kind = this.kind, section = this.section;
		return faults(this.owner, typed(section, section_id, kind)).then((found) => {
			const node = document.querySelector('#' + CSS.escape(this.cbid(section_id)) + ' .tunlite-faults');
			if (node)
				node.textContent = found.join('\n');
			if (found.length)
				return Promise.reject(new TypeError(found.join('; ')));
		});
	}
});

function addCheck(option, owner, kind) {
	const o = option(Check, '_check', ' ');
	o.owner = owner;
	o.kind = kind;
	o.modalonly = true;
	return o;
}

function tell(error) {
	ui.addNotification(null, E('p', {}, [ error ]), 'danger');
}

// ---- import and export ----

function importAll(s, found) {
	const id = s.section;
	for (const [ name, value ] of Object.entries(found.interface))
		if (text.rowOf('Interface', name) && !NOT_HERE.includes(text.rowOf('Interface', name).name))
			s.getOption(name).getUIElement(id).setValue(value);
	for (const group of found.groups) {
		const section = uci.add('network', 'tunlite_group');
		uci.set('network', section, 'interface', id);
		Object.entries(group).forEach(([ name, value ]) => uci.set('network', section, name, value));
	}
	for (const peer of found.peers) {
		uci.sections('network', 'tunlite_' + id, (old) => {
			if (old.public_key === peer.public_key)
				uci.remove('network', old['.name']);
		});
		const section = uci.add('network', 'tunlite_' + id);
		uci.set('network', section, 'route_allowed_ips', '1');
		Object.entries(peer).forEach(([ name, value ]) => uci.set('network', section, name, value));
	}
}

function askForFile(s) {
	const area = E('textarea', { 'id': 'tunlite-paste', 'rows': 12, 'style': 'width:100%;font-family:monospace',
		'placeholder': '[Interface]\nPrivateKey = …\n\n[Peer]\n…' });
	const say = E('div', { 'class': 'alert-message warning', 'style': 'display:none;white-space:pre-line' });
	ui.showModal(_('Import a file of wg-quick'), [
		E('p', {}, [ _('Paste the whole file. Addresses, keys, groups and peers are filled in; a peer with the same key is replaced. Nothing is saved before you say so.') ]),
		area, say,
		E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Cancel') ]), ' ',
			E('button', { 'class': 'btn cbi-button-action', 'click': () => {
				const found = text.parse(area.value);
				if (!found.interface.private_key && !found.peers.length) {
					say.textContent = _('This is no file of wg-quick: it has neither a PrivateKey nor a [Peer].');
					say.style.display = '';
					return;
				}
				importAll(s, found);
				const left = found.left.concat(NOT_HERE.filter((name) =>
					found.interface[text.rowOf('Interface', name).uci]));
				ui.hideModal();
				if (left.length)
					ui.addNotification(null, E('p', {}, [ _('Left out: %s').format(left.join(', ')) ]), 'warning');
				return s.map.save(null, true);
			} }, [ _('Import') ])
		])
	]);
}

// What this peer writes into its own file: us, seen from there.
function fileOf(interface_id, peer, ours, host) {
	const allowed = [].concat(peer.allowed_ips || []);
	const own = uci.get('network', interface_id) || {};
	return text.format([
		{ kind: 'Interface', id: '', all: true, values: {
			private_key: made[peer.public_key] || '', addresses: allowed.filter((one) => !/\/0$/.test(one)),
			layer: own.layer, encryption: peer.encryption || own.encryption } },
		{ kind: 'Peer', id: '', values: {
			public_key: ours, preshared_key: peer.preshared_key, allowed_ips: [ '0.0.0.0/0', '::/0' ],
			endpoint_host: host, endpoint_port: own.listen_port, persistent_keepalive: '25',
			encryption: peer.encryption } }
	]).text.replace('PrivateKey = \n', '');
}

function showFile(interface_id, peer) {
	const own = uci.get('network', interface_id) || {};
	return Promise.all([ callInfo(), callPublic(own.private_key || '') ]).then(([ info, answer ]) => {
		if (answer.error)
			return tell(_('The interface has no private key yet.'));
		const host = E('input', { 'class': 'cbi-input-text', 'value': window.location.hostname });
		const area = E('textarea', { 'readonly': '', 'rows': 12, 'style': 'width:100%;font-family:monospace' });
		const code = E('div', { 'id': 'tunlite-qr', 'style': 'max-width:260px;background:#fff' });
		const fill = () => {
			area.value = fileOf(interface_id, peer, answer.keys.pub, host.value);
			code.replaceChildren();
		};
		host.addEventListener('input', fill);
		fill();
		const draw = () => callQr(area.value).then((found) => {
			if (found.error)
				return tell(found.error);
			code.innerHTML = found.svg.join('\n').replace(/^[\s\S]*?(?=<svg)/, '');
			code.firstChild.setAttribute('width', '100%');
			code.firstChild.setAttribute('height', '100%');
		});
		ui.showModal(_('File of %s').format(peer.description || _('this peer')), [
			E('label', {}, [ _('Host or address that it reaches this router at'), ' ', host ]),
			area,
			E('p', {}, [ made[peer.public_key] ? _('It holds the private key that was just made: it is kept nowhere else.')
				: _('The peer fills in its PrivateKey; this router does not know it.') ]),
			code,
			E('div', { 'class': 'right' }, [
				info.qrencode ? E('button', { 'class': 'btn', 'id': 'tunlite-draw', 'click': draw }, [ _('QR code') ]) : '',
				' ', E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Close') ])
			])
		]);
	});
}

// ---- tabs ----

function button(option, name, label, about, act) {
	const o = option(form.Button, name, ' ', about);
	o.inputtitle = label;
	o.modalonly = true;
	o.onclick = act;
	return o;
}

function tab(s, name, ...words) {
	if (!(s.tabs && s.tabs[name])) // a form that is drawn again
		s.tab(name, ...words);
}

function general(s) {
	const option = (...rest) => s.taboption('general', ...rest);
	const rows = text.rowsOf('Interface').filter((row) => GENERAL.includes(row.name));
	add(rows[0], option).rmempty = false;
	const shown = option(form.DummyValue, '_public_key', _('Public key'), _('Give this one to the others.'));
	shown.load = (section_id) => {
		const key = uci.get('network', section_id, 'private_key');
		return key ? callPublic(key).then((answer) => (answer.keys || { pub: '-' }).pub) : _('(none yet)');
	};
	button(option, '_keys', _('Make a new key'), null, (ev, section_id) => callKeys().then((answer) => {
		s.getOption('private_key').getUIElement(section_id).setValue(answer.keys.priv);
		shown.getUIElement && document.querySelectorAll('[data-name="_public_key"] output').forEach((node) => {
			node.textContent = answer.keys.pub;
		});
	}));
	rows.slice(1).forEach((row) => add(row, option));
	button(option, '_import', _('Import a file…'), _('From wg-quick, or tunlite: by paste.'), () => askForFile(s));
	addCheck(option, s.section, 'Interface');
}

function others(s) {
	tab(s, 'layer2', _('Layer 2'), _('Ethernet frames for a mesh: both ends have to be tunlite. With layer 3, as in WireGuard, leave all of it as it is.'));
	for (const row of text.rowsOf('Interface')) {
		const tab = LAYER2.includes(row.name) ? 'layer2' : 'advanced';
		if (!GENERAL.includes(row.name) && !NOT_HERE.includes(row.name))
			add(row, (...rest) => s.taboption(tab, ...rest));
	}
	const o = s.taboption('advanced', form.Flag, 'nohostroute', _('No host routes'),
		_('Leave ways to endpoints to the routes that there are.'));
	o.optional = true;
}

function grid(s, tab, type, words) {
	const o = s.taboption(tab, form.SectionValue, '_' + tab, form.GridSection, type, null, words.about);
	const ss = o.subsection;
	ss.anonymous = true;
	ss.addremove = true;
	ss.nodescriptions = true;
	ss.addbtntitle = words.add;
	ss.modaltitle = words.edit;
	return ss;
}

// `below`: what stands behind an option.
function fields(ss, kind, owner, below) {
	const rows = text.rowsOf(kind);
	const place = (row) => (FIRST.indexOf(row.name) + 1 || 100) + rows.indexOf(row) / 100;
	for (const row of rows.slice().sort((a, b) => place(a) - place(b))) {
		if (row.kind === 'endpoint') {
			addEndpoint(ss);
		}
		else {
			const o = add(row, (...rest) => ss.option(...rest));
			o.modalonly = !IN_ROW.includes(row.name);
		}
		if (below && below[row.name])
			below[row.name]();
	}
	addCheck((...rest) => ss.option(...rest), owner, kind);
}

function groups(s) {
	tab(s, 'groups', _('Groups'), _('Peers that stand for each other: with a limit of 1 one of them is used, and another one seconds after it is silent.'));
	const ss = grid(s, 'groups', 'tunlite_group', { add: _('Add group'), edit: _('Group') });
	ss.filter = (section_id) => uci.get('network', section_id, 'interface') === s.section;
	const owner = ss.option(form.HiddenValue, 'interface');
	owner.default = s.section;
	owner.modalonly = true;
	fields(ss, 'Group', s.section);
}

function makePair(ss) {
	button((...rest) => ss.option(...rest), '_pair', _('Make a key pair for it'),
		_('The private half goes into its file alone: export it before you leave this page.'),
		(ev, section_id) => callKeys().then((answer) => {
			made[answer.keys.pub] = answer.keys.priv;
			ss.getOption('public_key').getUIElement(section_id).setValue(answer.keys.pub);
		}));
}

function makePsk(ss) {
	button((...rest) => ss.option(...rest), '_psk', _('Make a preshared key'), null,
		(ev, section_id) => callPsk().then((answer) =>
			ss.getOption('preshared_key').getUIElement(section_id).setValue(answer.psk)));
}

function takeNext(ss, s) {
	button((...rest) => ss.option(...rest), '_next', _('Take the next free address'), null, (ev, section_id) => {
		const own = [].concat(s.getOption('addresses').formvalue(s.section) || []);
		const taken = [];
		uci.sections('network', 'tunlite_' + s.section, (peer) => taken.push(...[].concat(peer.allowed_ips || [])));
		return callNext(s.section, own.join(' '), taken.join(' ')).then((answer) => answer.error ? tell(answer.error)
			: ss.getOption('allowed_ips').getUIElement(section_id).setValue(answer.addresses));
	});
}

function peers(s) {
	tab(s, 'peers', _('Peers'));
	const ss = grid(s, 'peers', 'tunlite_' + s.section, { add: _('Add peer'), edit: _('Peer') });
	ss.sortable = true;
	fields(ss, 'Peer', s.section, {
		PublicKey: () => makePair(ss), PresharedKey: () => makePsk(ss), AllowedIPs: () => takeNext(ss, s)
	});
	ss.getOption('public_key').textvalue = (section_id) =>
		E('code', {}, [ String(uci.get('network', section_id, 'public_key') || '').slice(0, 10) + '…' ]);
	const route = ss.option(form.Flag, 'route_allowed_ips', _('Route allowed IPs'), _('Make routes to them through this tunnel.'));
	route.modalonly = true;
	const off = ss.option(form.Flag, 'disabled', _('Off'), _('It stays here, and is not told to the daemon.'));
	off.optional = true;
	off.modalonly = true;
	button((...rest) => ss.option(...rest), '_export', _('Export its file…'), null, (ev, section_id) => {
		const values = typed(ss, section_id, 'Peer')[section_id];
		return showFile(s.section, Object.assign({}, uci.get('network', section_id), values));
	});
}

return network.registerProtocol('tunlite', {
	getI18n: function() { return _('Tunlite tunnel'); },
	getIfname: function() { return this._ubus('l3_device') || this.sid; },
	getPackageName: function() { return 'luci-proto-tunlite'; },
	getOpkgPackage: function() { return 'luci-proto-tunlite'; }, // its name until 24.10
	isFloating: function() { return true; },
	isVirtual: function() { return true; },
	getDevices: function() { return null; },
	containsDevice: function(ifname) { return network.getIfnameOf(ifname) === this.getIfname(); },

	renderFormOptions: function(s) {
		general(s);
		peers(s);
		groups(s);
		others(s);
	},

	deleteConfiguration: function() {
		uci.sections('network', 'tunlite_' + this.sid, (section) => uci.remove('network', section['.name']));
		uci.sections('network', 'tunlite_group', (section) => {
			if (section.interface === this.sid)
				uci.remove('network', section['.name']);
		});
	}
});
