-- SPDX-License-Identifier: MIT
-- A stand-in for gluon-mesh-vpn-core's module: the first provider by name that says so is the active one.

local util = require 'gluon.util'

local M = {}

function M.get_interface()
	return 'mesh-vpn'
end

function M.enabled()
	return require('simple-uci').cursor():get_bool('gluon', 'mesh_vpn', 'enabled')
end

function M.get_active_provider()
	for _, path in ipairs(util.glob('/lib/gluon/mesh-vpn/provider/*')) do
		local name = path:match('([^/]+)$')
		local provider = require('gluon.mesh-vpn.provider.' .. name)
		if provider.active() then
			return name, provider
		end
	end
end

return M
