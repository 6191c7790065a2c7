// SPDX-License-Identifier: MIT
// A stand-in for LuCI's page of one interface: its form, Save, and Save & Apply.
'use strict';
'require baseclass';
'require form';
'require uci';
'require ui';
'require rpc';

const callApply = rpc.declare({ object: 'uci', method: 'apply' });

return baseclass.extend({
	async open(protocols) {
		await L.require('protocol.tunlite');
		const id = new URLSearchParams(location.search).get('interface');
		if (!uci.get('network', id)) {
			uci.add('network', 'interface', id);
			uci.set('network', id, 'proto', 'tunlite');
		}
		const map = new form.Map('network', _('Interface %s').format(id));
		const s = map.section(form.NamedSection, id, 'interface');
		s.tab('general', _('General'));
		s.tab('advanced', _('Advanced'));
		window.protocol = new protocols.tunlite(id);
		window.protocol.renderFormOptions(s);
		const node = await map.render();
		const apply = ui.createHandlerFn(this, () => map.save().then(callApply).then(() =>
			ui.addNotification(null, E('p', {}, [ _('Applied.') ]), 'info')));
		document.getElementById('view').replaceChildren(node, E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn', id: 'apply', type: 'button', click: apply }, [ _('Save & Apply') ]) ]));
	}
});
