-- SPDX-License-Identifier: MIT

local KEY = '^' .. ('[%a%d+/]'):rep(42) .. '[AEIMQUYcgkosw480]=$'
local ENDPOINT = '^[^%s,#]+:%d+$'

local function tunlite(...)
	return extend({ 'mesh_vpn', 'tunlite' }, { ... })
end

local function check_peer(k)
	need_alphanumeric_key(k)

	need_string_match(in_domain(extend(k, { 'public_key' })), KEY)
	local endpoint = in_domain(extend(k, { 'endpoint' }))
	alternatives(function()
		need_string_match(endpoint, ENDPOINT)
	end, function()
		need_string_array_match(endpoint, ENDPOINT)
	end)
end

local function must_not_stand(path, why)
	need(path, function(value)
		return value == nil
	end, nil, 'be absent' .. why)
end

local function check_layer2()
	local modes = { 'on', 'authentic', 'off' }
	alternatives(function()
		need_one_of(tunlite('encryption'), modes, false)
	end, function()
		need_array_of(tunlite('encryption'), modes)
	end)
	for _, option in ipairs({ 'dialect', 'vni', 'port' }) do
		must_not_stand(tunlite(option), ' on layer 2')
	end
end

local function check_vxlan()
	need_one_of(tunlite('encryption'), { 'on' }, false)
	local dialect = need_one_of(tunlite('dialect'), { 'gluon', 'munich', 'hannover' }, false)
	need_number_range(tunlite('vni'), 0, 16777215, dialect == 'hannover')
	need_number_range(tunlite('port'), 1, 65535, false)
	if dialect == 'munich' then
		need(tunlite('peers'), function(peers)
			local first = next(peers)
			return first ~= nil and next(peers, first) == nil
		end, nil, 'have one peer: each gateway of Munich has an address of its own')
	end
end

-- An image may have another provider for other domains, but in one domain the first by name would win.
local others = {}
for _, provider in ipairs({ 'fastd', 'tunneldigger', 'wireguard' }) do
	if need_table({ 'mesh_vpn', provider }, nil, false) then
		others[#others + 1] = provider
	end
end

if need_table(tunlite(), nil, #others == 0) then
	for _, provider in ipairs(others) do
		must_not_stand({ 'mesh_vpn', provider }, ' beside mesh_vpn.tunlite')
	end

	need_table(tunlite('peers'), check_peer)
	need(tunlite('peers'), function(peers)
		return next(peers) ~= nil
	end, nil, 'have a gateway')
	need_number_range(tunlite('mtu'), 1280, 9562)
	need_one_of(tunlite('choose'), { 'random', 'order', 'nearest' }, false)
	need_number_range(tunlite('fail_after'), 1, 3600, false)
	if need_one_of(tunlite('layer'), { 2, 3 }) == 2 then
		check_layer2()
	else
		check_vxlan()
	end
end
