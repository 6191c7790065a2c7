-- SPDX-License-Identifier: MIT
-- A stand-in for gluon-core's: reads a package's check_site.lua from stdin, calls it for site.conf, and for each
-- of domains/*.conf laid over it; says the first thing that is wrong and ends with 1.

local function read(path)
	local file = assert(io.open(path))
	local text = file:read('*a')
	file:close()
	return assert(loadstring('return ' .. text, path))()
end

local site = read('/lib/gluon/site.conf')
local domain, conf
local M = setmetatable({}, { __index = _G })

local function lookup(base, path)
	for _, name in ipairs(path) do
		if type(base) ~= 'table' then
			return nil
		end
		base = base[name]
	end
	return base
end

local function wrong(path, value, must)
	local is = value == nil and 'unset' or ('%s (a %s value)'):format(tostring(value), type(value))
	error(('expected %s to %s, but it is %s'):format(table.concat(path, '.'), must, is), 0)
end

local function laid_over(below, above)
	if type(below) ~= 'table' or type(above) ~= 'table' then
		return above
	end
	local all = {}
	for name, value in pairs(below) do
		all[name] = value
	end
	for name, value in pairs(above) do
		all[name] = laid_over(all[name], value)
	end
	return all
end

function M.extend(path, names)
	local all = { unpack(path) }
	for _, name in ipairs(names) do
		all[#all + 1] = name
	end
	return all
end

-- Where there are domains, such a member may stand in them alone.
function M.in_domain(path)
	if domain and lookup(site, path) ~= nil then
		error(table.concat(path, '.') .. ' is allowed in domain configuration only', 0)
	end
	return path
end

function M.need(path, check, required, must)
	local value = lookup(conf, path)
	if required == false and value == nil then
		return nil
	end
	if not check(value) then
		wrong(path, value, must)
	end
	return value
end

local function need_type(path, kind, required)
	return M.need(path, function(value)
		return type(value) == kind
	end, required, 'be a ' .. kind)
end

function M.need_alphanumeric_key(path)
	local name = path[#path]
	if type(name) ~= 'string' or not name:match('^[0-9a-zA-Z_]+$') then
		wrong(path, name, 'have a key of letters, digits and underscores')
	end
end

function M.need_string_match(path, pattern, required)
	local value = need_type(path, 'string', required)
	if value and not value:match(pattern) then
		wrong(path, value, 'match ' .. pattern)
	end
	return value
end

function M.need_number_range(path, least, most, required)
	local value = need_type(path, 'number', required)
	if value and (value < least or value > most) then
		wrong(path, value, ('be in range [%d, %d]'):format(least, most))
	end
	return value
end

function M.need_table(path, check, required)
	local value = need_type(path, 'table', required)
	for name in pairs(check and value or {}) do
		check(M.extend(path, { name }))
	end
	return value
end

local function need_array(path, check, required)
	local value = need_type(path, 'table', required)
	for i = 1, #(value or {}) do
		check(M.extend(path, { i }))
	end
	return value
end

function M.need_one_of(path, allowed, required)
	return M.need(path, function(value)
		for _, one in ipairs(allowed) do
			if one == value then
				return true
			end
		end
		return false
	end, required, 'be one of ' .. table.concat(allowed, ', '))
end

function M.need_array_of(path, allowed, required)
	return need_array(path, function(element)
		M.need_one_of(element, allowed)
	end, required)
end

function M.need_string_array_match(path, pattern, required)
	return need_array(path, function(element)
		M.need_string_match(element, pattern)
	end, required)
end

function M.alternatives(...)
	local said = {}
	for _, check in ipairs({ ... }) do
		local ok, why = pcall(check)
		if ok then
			return
		end
		said[#said + 1] = why
	end
	error(table.concat(said, '; '), 0)
end

local check = setfenv(assert(loadfile()), M)
local domains = {}
for path in io.popen('ls -d /lib/gluon/domains/*.conf 2>/dev/null'):lines() do
	domains[#domains + 1] = path
end

local ok, why = pcall(function()
	for _, path in ipairs(domains) do
		domain = read(path)
		conf = laid_over(site, domain)
		check()
	end
	if #domains == 0 then
		conf = site
		check()
	end
end)
if not ok then
	io.stderr:write('*** ', why, '\n')
	os.exit(1)
end
