// SPDX-License-Identifier: MIT
// Who is up, since when and by which gateway, how fast, and what is dropped or off, and why.
'use strict';
'require view';
'require poll';
'require rpc';
'require ui';

const callStatus = rpc.declare({ object: 'tunlite', method: 'status', expect: { interfaces: [] } });
const callUse = rpc.declare({ object: 'tunlite', method: 'use', params: [ 'interface', 'peer' ] });
const callBlock = rpc.declare({ object: 'tunlite', method: 'block', params: [ 'interface', 'key' ] });
const callUnblock = rpc.declare({ object: 'tunlite', method: 'unblock', params: [ 'interface', 'key' ] });

const EVERY_S = 5;
const SAMPLES = 60; // of 5 minutes
const CURVES_MOST = 200; // peers whose rates are kept
const SHOWN_MOST = 100; // peers of one interface on the page

// What a drop reason means to whoever looks for a fault; others are told by their name alone.
const DROPS = {
	not_authentic: _('packets that nobody with the key has sent'),
	replayed: _('packets that came twice, or much too late'),
	source_not_allowed: _('packets from addresses that are not in the sender’s allowed IPs'),
	no_route: _('packets to addresses that are in nobody’s allowed IPs'),
	no_endpoint: _('packets for a peer whose address is not known yet'),
	routing_loop: _('packets of the tunnel that were routed into the tunnel'),
	stage_flushed: _('packets that waited for a peer that did not answer'),
	stage_full: _('packets beyond those that wait for a peer'),
	rate_in: _('packets above a peer’s RateIn'),
	rate_out: _('packets above a peer’s RateOut'),
	session_expired: _('packets of a session that had ended'),
	unknown_index: _('packets of sessions that are not known here: the other end was faster, or this one began anew'),
	bad_mac1: _('handshakes for another key than ours'),
	other_layer: _('handshakes of the other layer: one end has layer 2, the other 3'),
	rate_limited: _('handshakes: too many from one address'),
	cookie_sent: _('handshakes that were asked to prove their address'),
	send_unreachable: _('packets with no way out: the uplink is down'),
	send_filtered: _('packets that this router’s firewall refuses to send'),
	send_too_big: _('packets longer than the uplink takes: make the MTU smaller'),
	way_full: _('packets for a peer behind a slow line'),
	device_down: _('packets while the interface was down'),
	frame_too_long: _('frames too long for their peer'),
	parts_lost: _('parts of frames whose other parts were lost'),
	wrong_mode: _('packets protected otherwise than agreed'),
	socket_overflow: _('packets that came faster than this router reads')
};

const STYLE = `
.tl { --tl-line: rgba(128, 128, 128, .35); --tl-soft: rgba(128, 128, 128, .12); --tl-in: #2f9e6e; --tl-out: #3d7fd9; --tl-bad: #d9534f; }
.tl section { border: 1px solid var(--tl-line); border-radius: 8px; padding: .8em 1em; margin: 0 0 1.2em; }
.tl h3 { margin: 0; font-size: 1.2em; border: 0; padding: 0; }
.tl header { display: flex; flex-wrap: wrap; gap: .3em 1em; align-items: baseline; margin-bottom: .6em; }
.tl small, .tl .soft { opacity: .72; }
.tl .group { background: var(--tl-soft); border-radius: 6px; padding: .5em .8em; margin: .5em 0; }
.tl .peers { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19em), 1fr)); gap: .8em; }
.tl .peer { border: 1px solid var(--tl-line); border-radius: 6px; padding: .6em .8em; min-width: 0; }
.tl .peer b { overflow-wrap: anywhere; }
.tl .dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; background: #999; }
.tl .up .dot { background: var(--tl-in); } .tl .standby .dot { background: #d9a441; } .tl .blocked .dot { background: var(--tl-bad); }
.tl .row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .8em; overflow-wrap: anywhere; }
.tl svg { display: block; width: 100%; height: 56px; margin: .4em 0; background: var(--tl-soft); border-radius: 4px; }
.tl path { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
.tl .in { stroke: var(--tl-in); color: var(--tl-in); } .tl .out { stroke: var(--tl-out); color: var(--tl-out); }
.tl .chips { display: flex; flex-wrap: wrap; gap: .3em; margin-top: .3em; }
.tl .chip { border: 1px solid var(--tl-line); border-radius: 1em; padding: 0 .7em; font-size: .85em; }
.tl .off { border-style: dashed; }
.tl .drops { margin-top: .7em; } .tl summary { cursor: pointer; }
.tl ul { margin: .3em 0 0 1.2em; padding: 0; }`;

const curves = new Map(); // interface and key -> {rx, tx, at, points: [[in, out]]}

function span(seconds) {
	const units = [ [ 86400, _('d') ], [ 3600, _('h') ], [ 60, _('min') ], [ 1, _('s') ] ];
	const found = units.filter(([ length ]) => seconds >= length).slice(0, 2);
	let left = seconds;
	return found.map(([ length, word ]) => {
		const count = Math.floor(left / length);
		left -= count * length;
		return count ? count + ' ' + word : '';
	}).filter((part) => part).join(' ') || _('0 s');
}

function scaled(number, unit) {
	const step = number >= 1e9 ? [ 1e9, 'G' ] : number >= 1e6 ? [ 1e6, 'M' ] : number >= 1e3 ? [ 1e3, 'k' ] : [ 1, '' ];
	const value = number / step[0];
	return (step[0] === 1 || value >= 100 ? value.toFixed(0) : value.toFixed(1)) + ' ' + step[1] + unit;
}

// ---- rates ----

function note(id, peer, now_s) {
	const old = curves.get(id);
	curves.delete(id); // what is looked at stays, what has gone is the first to leave
	const row = { rx: peer.rx_bytes, tx: peer.tx_bytes, at: now_s, points: old ? old.points : [] };
	if (old && now_s > old.at) {
		const rate = (now, before) => Math.max(0, now - before) * 8 / (now_s - old.at);
		row.points = old.points.concat([ [ rate(row.rx, old.rx), rate(row.tx, old.tx) ] ]).slice(-SAMPLES);
	}
	curves.set(id, row);
	if (curves.size > CURVES_MOST)
		curves.delete(curves.keys().next().value);
	return row.points;
}

function line(points, which, most) {
	const start = SAMPLES - points.length;
	return points.map((point, at) =>
		(at ? 'L' : 'M') + (start + at) + ' ' + (54 - 50 * point[which] / most).toFixed(1)).join('');
}

function graph(points) {
	const most = Math.max(1000, ...points.flat());
	const now = points[points.length - 1] || [ 0, 0 ];
	const text = _('last 5 minutes, at most %s').format(scaled(most, 'bit/s'));
	const holder = E('div', { 'class': 'graph' });
	holder.innerHTML = '<svg viewBox="0 0 %d 56" preserveAspectRatio="none" role="img"><title></title>'.format(SAMPLES - 1)
		+ '<path class="in" d="%s"/><path class="out" d="%s"/></svg>'.format(line(points, 0, most), line(points, 1, most));
	holder.querySelector('title').textContent = text;
	holder.appendChild(E('div', { 'class': 'row' }, [
		E('span', { 'class': 'in' }, [ '↓ ' + scaled(now[0], 'bit/s') ]),
		E('span', { 'class': 'out' }, [ '↑ ' + scaled(now[1], 'bit/s') ]),
		E('small', {}, [ text ])
	]));
	return holder;
}

// ---- what is told ----

function state(peer) {
	if (peer.blocked)
		return [ 'blocked', _('blocked') ];
	if (peer.standby)
		return [ 'standby', _('stands by') ];
	if (peer.established_s === null || peer.established_s === undefined)
		return [ 'down', peer.ended ? _('not connected: %s').format(peer.ended) : _('not connected yet') ];
	return [ 'up', _('up for %s').format(span(peer.established_s)) ];
}

function act(call, ...words) {
	return ui.createHandlerFn(this, () => call(...words).then((answer) => {
		if (answer.error)
			ui.addNotification(null, E('p', {}, [ answer.error ]), 'danger');
	}));
}

function buttons(name, peer) {
	const found = [];
	if (peer.standby)
		found.push(E('button', { 'class': 'btn cbi-button', 'click': act(callUse, name, peer.public_key) }, [ _('Use') ]));
	found.push(peer.blocked
		? E('button', { 'class': 'btn cbi-button', 'click': act(callUnblock, name, peer.public_key) }, [ _('Unblock') ])
		: E('button', { 'class': 'btn cbi-button', 'click': act(callBlock, name, peer.public_key) }, [ _('Block') ]));
	return E('div', { 'class': 'chips' }, found);
}

function path(peer) {
	if (!peer.path_mtu)
		return '';
	return E('div', { 'class': 'row' }, [
		E('span', {}, [ _('Path MTU %d (%s)').format(peer.path_mtu, peer.path_mtu_why) ]),
		E('span', {}, [ peer.encryption ? _('protection: %s').format(peer.encryption) : '' ])
	]);
}

function showPeer(name, peer, points) {
	const [ kind, words ] = state(peer);
	return E('div', { 'class': 'peer ' + kind, 'data-key': peer.public_key }, [
		E('div', { 'class': 'row' }, [
			E('b', {}, [ E('i', { 'class': 'dot' }), peer.description || peer.public_key ]),
			E('span', { 'class': 'since' }, [ words ])
		]),
		E('div', { 'class': 'row soft' }, [
			E('span', {}, [ peer.endpoint || _('no endpoint') ]),
			E('span', {}, [ peer.handshake_age_s === null ? '' : _('handshake %s ago').format(span(peer.handshake_age_s)) ])
		]),
		graph(points),
		E('div', { 'class': 'row' }, [
			E('span', {}, [ _('received %s').format(scaled(peer.rx_bytes, 'B')) ]),
			E('span', {}, [ _('sent %s').format(scaled(peer.tx_bytes, 'B')) ])
		]),
		path(peer),
		buttons(name, peer)
	]);
}

function showGroup(group) {
	if (!group.limit)
		return E('div', { 'class': 'group' }, [ E('b', {}, [ group.name ]), ' ', _('%d members, all in use').format(group.members) ]);
	const used = group.used_name || group.used;
	const words = [ used ? _('for %s (%s)').format(span(group.used_for_s || 0), group.why) : _('none of %d answers').format(group.members) ];
	if (group.silent_for_ms >= 1000)
		words.push(_('silent for %s').format(span(Math.floor(group.silent_for_ms / 1000))));
	if (group.searching)
		words.push(_('the others are asked'));
	if (group.held)
		words.push(_('held by hand'));
	if (group.trouble)
		words.push(group.trouble);
	return E('div', { 'class': 'group' }, [
		E('b', {}, [ group.name ]), ' → ', E('b', { 'class': 'used' }, [ used || '–' ]), ' ', E('span', { 'class': 'soft' }, [ words.join(', ') ])
	]);
}

function chips(found) {
	return E('div', { 'class': 'chips' }, (found.offloads || []).map((one) =>
		E('span', { 'class': 'chip' + (one.on ? '' : ' off'), 'title': one.why },
			[ one.name.replace(/_/g, ' ') + (one.on ? '' : ' ' + _('off: %s').format(one.why)) ])));
}

function drops(found) {
	const rows = Object.entries(found.drops || {}).filter(([ , count ]) => count);
	if (!rows.length)
		return E('div', { 'class': 'soft drops' }, [ _('Nothing was dropped.') ]);
	return E('details', { 'class': 'drops', 'open': '' }, [
		E('summary', {}, [ _('Dropped') ]),
		E('ul', {}, rows.map(([ name, count ]) => E('li', {}, [
			'%d '.format(count), DROPS[name] || name.replace(/_/g, ' '), ' ', E('small', {}, [ '(' + name + ')' ]) ])))
	]);
}

function showInterface(found, now_s) {
	const up = found.peers.filter((peer) => state(peer)[0] === 'up').length;
	const shown = found.peers.slice(0, SHOWN_MOST);
	const more = found.left_out ? _('Too many peers to show here: tunlite show %s').format(found.interface)
		: found.peers.length > shown.length ? _('%d more peers: tunlite show %s').format(found.peers.length - shown.length, found.interface) : '';
	return E('section', { 'data-interface': found.interface }, [
		E('header', {}, [
			E('h3', {}, [ found.interface ]),
			E('span', {}, [ found.up === false ? _('down') : _('%d of %d peers are up').format(up, found.peers.length) ]),
			E('span', { 'class': 'soft' }, [ _('port %d, MTU %s, layer %s, runs for %s').format(
				found.listen_port, found.mtu, found.layer, span(found.uptime_s || 0)) ])
		]),
		...(found.groups || []).map(showGroup),
		E('div', { 'class': 'peers' }, shown.map((peer) =>
			showPeer(found.interface, peer, note(found.interface + ' ' + peer.public_key, peer, now_s)))),
		more ? E('p', { 'class': 'soft' }, [ more ]) : '',
		drops(found),
		chips(found)
	]);
}

return view.extend({
	load: function() { return callStatus(); },

	render: function(interfaces) {
		const all = E('div', { 'id': 'tunlite-all' });
		const draw = (found) => {
			const now_s = Date.now() / 1000;
			const ours = found.filter((one) => one.mtu); // others' are WireGuard's page
			all.replaceChildren(...(ours.length ? ours.map((one) => showInterface(one, now_s))
				: [ E('p', {}, [ E('em', {}, [ _('No tunnel is running.') ]) ]) ]));
		};
		draw(interfaces);
		poll.add(() => callStatus().then(draw), EVERY_S);
		return E('div', { 'class': 'tl' }, [ E('style', {}, [ STYLE ]), E('h2', {}, [ _('Tunlite') ]), all ]);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
