// SPDX-License-Identifier: MIT
// A stand-in for LuCI's form: maps of sections of options, tabs, grids with a modal, and values that are
// loaded, validated and written in LuCI's order.
'use strict';
'require baseclass';
'require uci';
'require ui';

const asText = (value) => value === undefined || value === null ? '' : value;

// ---- values ----

const AbstractValue = baseclass.extend({
	rmempty: true, optional: false, modalonly: null,

	__init__(map, section, option, title, description) {
		Object.assign(this, { map, section, option, title, description, deps: [], nodes: {} });
	},
	depends(...rest) { this.deps.push(rest); },
	cbid(id) { return 'cbid.' + this.map.config + '.' + id + '.' + this.option; },
	load(id) { return uci.get('network', id, this.option); },
	cfgvalue(id) { return this.loaded ? this.loaded[id] : this.load(id); },
	textvalue(id) { const value = uci.get('network', id, this.option); return Array.isArray(value) ? value.join(', ') : value; },
	validate() { return true; },
	write(id, value) { uci.set('network', id, this.option, value); },
	remove(id) { uci.unset('network', id, this.option); },
	formvalue(id) { return this.nodes[id] ? this.read(this.nodes[id]) : null; },
	getUIElement(id) { return { setValue: (value) => { this.fill(this.nodes[id], value); this.check(id); }, getValue: () => this.formvalue(id) }; },
	check(id) {
		const values = [].concat(this.formvalue(id) || []);
		const said = values.map((value) => this.validate(id, value)).find((one) => one !== true);
		const empty = !values.length && !this.rmempty && !this.optional;
		const wrong = said || (empty ? _('Expecting: non-empty value') : '');
		const row = document.getElementById(this.cbid(id));
		row.classList.toggle('invalid', !!wrong);
		row.querySelector('.wrong').textContent = wrong;
		return wrong;
	},
	parse(id) {
		const wrong = this.check(id);
		if (wrong)
			return Promise.reject(new TypeError('%s: %s'.format(this.title, wrong)));
		const value = this.formvalue(id);
		if (value === null || value === '' || value.length === 0) {
			this.remove(id);
			return Promise.resolve();
		}
		if (JSON.stringify(value) !== JSON.stringify(uci.get('network', id, this.option)))
			this.write(id, value);
		return Promise.resolve();
	},
	async render(id) {
		this.loaded = this.loaded || {};
		this.loaded[id] = await this.load(id);
		const node = this.nodes[id] = this.renderWidget(id, 0, this.cfgvalue(id));
		node.addEventListener('change', () => this.check(id));
		return E('div', { id: this.cbid(id), 'class': 'cbi-value', 'data-name': this.option }, [
			E('label', {}, [ this.title || '' ]),
			E('div', {}, [ node, E('div', { 'class': 'wrong' }), E('small', {}, [ this.description || '' ]) ])
		]);
	}
});

const Value = AbstractValue.extend({
	renderWidget(id, index, value) {
		const node = E('input', { type: this.password ? 'password' : 'text', placeholder: this.placeholder || '', autocomplete: 'off' });
		node.value = asText(value);
		return node;
	},
	read: (node) => node.value.trim(),
	fill(node, value) { node.value = asText(value); }
});

const HiddenValue = Value.extend({
	renderWidget(id, index, value) { const node = E('input', { type: 'hidden' }); node.value = value || this.default; return node; }
});

const DynamicList = AbstractValue.extend({
	renderWidget(id, index, value) {
		const node = E('div', { 'class': 'list' });
		this.fill(node, value);
		return node;
	},
	read: (node) => Array.from(node.querySelectorAll('input'), (one) => one.value.trim()).filter((one) => one),
	fill(node, value) {
		node.replaceChildren(...[].concat(value || [], '').map((one) => { const input = E('input', { type: 'text', placeholder: '+' }); input.value = one; return input; }));
		node.oninput = () => { if (node.lastChild.value) node.append(E('input', { type: 'text', placeholder: '+' })); };
	}
});

const ListValue = AbstractValue.extend({
	value(key, label) { (this.choices = this.choices || []).push([ key, label || key ]); },
	renderWidget(id, index, value) {
		const node = E('select', {}, (this.choices || []).map(([ key, label ]) => E('option', { value: key }, [ label ])));
		node.value = asText(value);
		return node;
	},
	read: (node) => node.value,
	fill(node, value) { node.value = asText(value); }
});

const Flag = AbstractValue.extend({
	renderWidget(id, index, value) {
		const node = E('input', { type: 'checkbox' });
		node.checked = (value || this.default) === '1';
		return node;
	},
	read(node) { return node.checked ? '1' : '0'; },
	fill(node, value) { node.checked = value === '1'; },
	parse(id) {
		const value = this.formvalue(id);
		if (value === (this.default || '0'))
			this.remove(id);
		else
			this.write(id, value);
		return Promise.resolve();
	}
});

const DummyValue = AbstractValue.extend({
	renderWidget(id, index, value) { return E('output', {}, [ asText(value) ]); },
	read: () => null, fill() {}, write() {}, remove() {}
});

const Button = DummyValue.extend({
	renderWidget(id) {
		return E('button', { 'class': 'btn', type: 'button', click: ui.createHandlerFn(this, (event) => this.onclick(event, id)) }, [ this.inputtitle ]);
	}
});

const SectionValue = AbstractValue.extend({
	__init__(map, section, option, cls, ...words) {
		this.super('__init__', [ map, section, option ]);
		this.subsection = new cls(map, ...words);
	},
	async render() { return this.node = E('div', { id: this.cbid(this.section.section) }, [ await this.subsection.render() ]); },
	check() { return ''; },
	parse() { return Promise.resolve(); }
});

// ---- sections ----

const AbstractSection = baseclass.extend({
	option(cls, option, ...words) {
		const made = new cls(this.map, this, option, ...words);
		this.children.push(made);
		return made;
	},
	getOption(name) { return this.children.find((one) => one.option === name); },
	getUIElement(id, name) { return this.getOption(name).getUIElement(id); },
	formvalue(id, name) { return this.getOption(name).formvalue(id); },
	async parseAll(id) { for (const one of this.children) await one.parse(id); }
});

const NamedSection = AbstractSection.extend({
	__init__(map, section, type, title) { Object.assign(this, { map, section, type, title, children: [], tabs: {}, order: [] }); },
	tab(name, title, description) {
		if (this.tabs[name])
			throw new Error('Tab already declared');
		this.tabs[name] = { title, description, children: [] };
		this.order.push(name);
	},
	taboption(tab, ...rest) {
		const made = this.option(...rest);
		this.tabs[tab].children.push(made);
		return made;
	},
	async render() {
		const panes = [], names = [];
		for (const name of this.order) {
			const { title, description, children } = this.tabs[name];
			const rows = [];
			for (const one of children) rows.push(await one.render(this.section));
			panes.push(E('div', { 'class': 'pane', 'data-tab': name }, [ E('p', {}, [ description || '' ]), ...rows ]));
			names.push(E('li', { 'data-tab': name, click: () => this.show(name) }, [ title ]));
		}
		this.node = E('div', {}, [ E('ul', { 'class': 'tabs' }, names), ...panes ]);
		this.show(this.order[0]);
		return this.node;
	},
	show(name) { this.node.querySelectorAll('[data-tab]').forEach((one) => one.classList.toggle('active', one.dataset.tab === name)); },
	parse() { return this.parseAll(this.section); }
});

const GridSection = AbstractSection.extend({
	__init__(map, sectiontype, title, description) { Object.assign(this, { map, sectiontype, title, description, children: [] }); },
	ids() { return uci.sections('network', this.sectiontype).map((one) => one['.name']).filter((id) => !this.filter || this.filter(id)); },
	async render() { this.holder = E('div', {}, []); this.draw(); return this.holder; },
	draw() {
		const shown = this.children.filter((one) => !one.modalonly);
		const rows = this.ids().map((id) => E('div', { 'class': 'grid-row', 'data-id': id }, [
			...shown.map((one) => E('span', { 'data-title': one.title }, [ asText(one.textvalue(id)) ])),
			E('button', { 'class': 'btn edit', type: 'button', click: () => this.renderMoreOptionsModal(id) }, [ _('Edit') ]),
			E('button', { 'class': 'btn remove', type: 'button', click: () => { uci.remove('network', id); this.draw(); } }, [ _('Delete') ])
		]));
		this.holder.replaceChildren(E('p', {}, [ this.description || '' ]), ...rows,
			E('button', { 'class': 'btn add', type: 'button', click: (event) => this.handleAdd(event) }, [ this.addbtntitle ]));
	},
	handleAdd() { const id = uci.add('network', this.sectiontype); this.added = id; return this.renderMoreOptionsModal(id); },
	async renderMoreOptionsModal(id) {
		const rows = [];
		for (const one of this.children) if (one.modalonly !== false || true) rows.push(await one.render(id));
		const away = () => { ui.hideModal(); this.added = null; this.draw(); };
		ui.showModal(this.modaltitle, [ ...rows, E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn dismiss', click: () => { if (this.added === id) uci.remove('network', id); away(); } }, [ _('Dismiss') ]), ' ',
			E('button', { 'class': 'btn save', click: ui.createHandlerFn(this, () => this.parseAll(id).then(away)) }, [ _('Save') ]) ]) ]);
	}
});

const Map_ = baseclass.extend({
	__init__(config, title) { Object.assign(this, { config, title, children: [] }); },
	section(cls, ...words) { const made = new cls(this, ...words); this.children.push(made); return made; },
	async render() {
		const rows = [];
		for (const one of this.children) rows.push(await one.render());
		return this.node = E('form', { submit: (event) => event.preventDefault() }, [ E('h2', {}, [ this.title ]), ...rows ]);
	},
	async parse() { for (const one of this.children) await one.parse(); },
	async save(call, silent) {
		await this.parse();
		await uci.save();
		this.children.forEach((one) => one.children.forEach((option) => option.subsection && option.subsection.draw()));
	}
});

return { Map: Map_, NamedSection, GridSection, SectionValue, AbstractValue, Value, HiddenValue, DynamicList, ListValue, Flag, DummyValue, Button };
