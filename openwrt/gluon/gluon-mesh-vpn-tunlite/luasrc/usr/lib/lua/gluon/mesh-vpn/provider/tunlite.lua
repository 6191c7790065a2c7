-- SPDX-License-Identifier: MIT
-- What Gluon asks of a provider of its mesh VPN. Nothing here commits: Gluon does, when all is written.

local uci = require('simple-uci').cursor()

local site = require 'gluon.site'
local util = require 'gluon.util'
local vpn_core = require 'gluon.mesh-vpn'

local M = {}

function M.active()
	return site.mesh_vpn.tunlite() ~= nil
end

function M.mtu()
	return site.mesh_vpn.tunlite.mtu()
end

-- Through a pipe: the private key is no argument of a program, and in no file of ours.
function M.public_key()
	local key = util.trim(util.exec('uci -q get network.wg_mesh.private_key | tunlite pubkey 2>/dev/null'))

	if key == '' then
		return nil
	end

	return key
end

function M.enable(val)
	uci:set('network', 'wg_mesh', 'disabled', not val)
	uci:save('network')
end

function M.set_limit(ingress_limit, egress_limit)
	uci:delete('simple-tc', 'mesh_vpn')
	if ingress_limit ~= nil and egress_limit ~= nil then
		uci:section('simple-tc', 'interface', 'mesh_vpn', {
			ifname = vpn_core.get_interface(),
			enabled = true,
			limit_ingress = ingress_limit,
			limit_egress = egress_limit,
		})
	end

	uci:save('simple-tc')
end

-- A handshake shows our public key to nobody but the gateway. Where this is true, the status does not either.
function M.pubkey_privacy()
	return site.mesh_vpn.pubkey_privacy(true)
end

return M
