// SPDX-License-Identifier: MIT
// A stand-in for what of LuCI our pages use: L's loader, baseclass, rpc, uci, ui, dom, poll, view, network
// and form. It keeps LuCI's rules for these, and draws plain fields; it is not LuCI.
'use strict';

String.prototype.format = function(...words) {
	let at = 0;
	return this.replace(/%([sd%])/g, (all, kind) => kind === '%' ? '%' : String(words[at++]));
};

function _(text) { return text; }

function E(tag, attributes, children) {
	if (typeof tag !== 'string')
		return tag;
	if (Array.isArray(attributes) || typeof attributes === 'string' || attributes instanceof Node)
		[ attributes, children ] = [ {}, attributes ];
	const node = document.createElement(tag);
	for (const [ name, value ] of Object.entries(attributes || {})) {
		if (typeof value === 'function')
			node.addEventListener(name, value);
		else if (value !== null && value !== undefined)
			node.setAttribute(name, value);
	}
	for (const child of [].concat(children === undefined ? [] : children))
		if (child !== null && child !== '')
			node.append(child);
	return node;
}

// ---- classes, and the loader of 'require NAME as ALIAS' ----

class Base {
	constructor(...rest) { if (this.__init__) this.__init__(...rest); }
	super(name, words) {
		let proto = Object.getPrototypeOf(this);
		while (!Object.hasOwn(proto, name)) proto = Object.getPrototypeOf(proto);
		return Object.getPrototypeOf(proto)[name].apply(this, words || []);
	}
	static extend(members) {
		const made = class extends this {};
		Object.assign(made.prototype, members);
		return made;
	}
}

const modules = { baseclass: Base };
const loading = {};

const L = {
	require(name) {
		if (modules[name])
			return Promise.resolve(modules[name]);
		return loading[name] = loading[name] || fetch('/luci-static/resources/' + name.replace(/\./g, '/') + '.js')
			.then((answer) => answer.text()).then((source) => L.compile(name, source));
	},
	async compile(name, source) {
		const names = [], values = [];
		for (const found of source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/mg)) {
			names.push(found[2] || found[1].replace(/^.*\./, ''));
			values.push(await L.require(found[1]));
		}
		const factory = new Function(...names, source + '\n//# sourceURL=' + name + '.js');
		const made = factory(...values);
		return modules[name] = name === 'form' || typeof made !== 'function' ? made : new made();
	},
	isObject: (value) => value !== null && typeof value === 'object'
};

// ---- rpc, as rpcd answers it ----

const rpc = modules.rpc = {
	declare(options) {
		return (...words) => {
			const given = {};
			(options.params || []).forEach((name, at) => { if (words[at] !== undefined) given[name] = words[at]; });
			return fetch('/ubus', { method: 'POST', body: JSON.stringify([ options.object, options.method, given ]) })
				.then((answer) => answer.json()).then(([ code, found ]) => {
					if (code)
						throw new Error(options.object + '.' + options.method + ': ubus code ' + code);
					const [ key, otherwise ] = Object.entries(options.expect || { '': {} })[0];
					return key === '' ? found : found[key] === undefined ? otherwise : found[key];
				});
		};
	}
};

// ---- uci: what was loaded, with changes that are not saved yet ----

const uciLoad = rpc.declare({ object: 'uci', method: 'load' });
const uciSave = rpc.declare({ object: 'uci', method: 'save', params: [ 'sections' ] });
let sections = [], count = 0;

const uci = modules.uci = {
	load: () => uciLoad().then((found) => { sections = found.sections; }),
	get(config, id, option) {
		const found = sections.find((one) => one['.name'] === id);
		return found && (option ? found[option] : found);
	},
	set(config, id, option, value) {
		const found = sections.find((one) => one['.name'] === id);
		if (value === null || value === undefined || value === '' || value.length === 0)
			delete found[option];
		else
			found[option] = value;
	},
	unset(config, id, option) { uci.set(config, id, option, null); },
	add(config, type, name) {
		const id = name || 'new' + Date.now().toString(16) + count++;
		sections.push({ '.name': id, '.type': type, '.anonymous': !name });
		return id;
	},
	remove(config, id) { sections = sections.filter((one) => one['.name'] !== id); },
	sections(config, type, call) {
		const found = sections.filter((one) => !type || one['.type'] === type);
		found.forEach((one) => call && call(one, one['.name']));
		return found;
	},
	save: () => uciSave(sections)
};

// ---- ui ----

const ui = modules.ui = {
	showModal(title, children) {
		ui.hideModal();
		document.body.append(E('div', { id: 'modal' }, [ E('div', { 'class': 'modal' }, [ E('h4', {}, [ title ]), ...children ]) ]));
	},
	hideModal() { const found = document.getElementById('modal'); if (found) found.remove(); },
	addNotification(title, node, kind) {
		document.getElementById('notes').append(E('div', { 'class': 'alert-message ' + (kind || '') }, [ node ]));
	},
	createHandlerFn(context, call, ...words) {
		return (event) => Promise.resolve(call.call(context, ...words, event)).catch((error) =>
			ui.addNotification(null, E('p', {}, [ String(error.message || error) ]), 'danger'));
	}
};
modules.dom = { content(node, children) { node.replaceChildren(...[].concat(children)); } };
modules.poll = {
	add(call, seconds) { (window.polls = window.polls || []).push(call); setInterval(call, 1000 * seconds); }
};
modules.view = Base.extend({
	__init__() {
		Promise.resolve(this.load()).then((found) => this.render(found))
			.then((node) => document.getElementById('view').replaceChildren(node));
	}
});

// ---- network ----

const protocols = {};
const network = modules.network = {
	registerProtocol(name, members) {
		return protocols[name] = Base.extend({ ...members, __init__(sid) { this.sid = sid; }, _ubus: () => null });
	},
	getIfnameOf: (device) => device
};

async function start() {
	const page = new URLSearchParams(location.search).get('page') || 'interface';
	modules.form = await L.require('form');
	await uci.load();
	if (page === 'status')
		await L.require('view.tunlite.status');
	else
		await L.require('interfaces').then((made) => made.open(protocols));
	document.body.dataset.ready = '1';
}
window.addEventListener('DOMContentLoaded', () => start().catch((error) => {
	document.body.append(E('pre', { id: 'failed' }, [ String(error.stack || error) ]));
}));
