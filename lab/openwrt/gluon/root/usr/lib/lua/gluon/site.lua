-- SPDX-License-Identifier: MIT
-- A stand-in for gluon.site: each member is called for its value; what is missing has members that are nil.

local wrap

local meta = {}

function meta.__index(node, name)
	local value = rawget(node, meta)
	if type(value) == 'table' then
		return wrap(value[name])
	end
	return wrap(nil)
end

function meta.__call(node, default)
	local value = rawget(node, meta)
	if value == nil then
		return default
	end
	return value
end

function wrap(value)
	return setmetatable({ [meta] = value }, meta)
end

local file = assert(io.open('/lib/gluon/site.conf'))
local text = file:read('*a')
file:close()

return wrap(assert(loadstring('return ' .. text))())
