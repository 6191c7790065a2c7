-- SPDX-License-Identifier: MIT
-- A stand-in for simple-uci on lua-uci: packages of /etc/config in memory, save() keeps them aside where the
-- next cursor and uci(1) see them, and who commits is told off: that is for Gluon, after all scripts ran.

local CONFIG = '/etc/config/'
local STAGED = '/tmp/.uci/'

local Cursor = {}
Cursor.__index = Cursor

local function unquoted(text)
	return (text:gsub("'([^']*)'", '%1'):gsub("\\'", "'"))
end

-- {name = {['.type'] = ..., option = text or list}}, and the names in their order.
local function read(package)
	local found = { order = {} }
	local file = io.open(STAGED .. package) or io.open(CONFIG .. package)
	local section
	for line in file and file:lines() or function() end do
		local word, name, rest = line:match('^%s*(%S+)%s+(%S+)%s*(.*)$')
		local value = rest and unquoted(rest)
		if word == 'config' then
			section = { ['.type'] = name, ['.name'] = value, ['.anonymous'] = value == '' }
			if value == '' then
				section['.name'] = ('cfg%02x'):format(#found.order + 1)
			end
			found[section['.name']] = section
			found.order[#found.order + 1] = section['.name']
		elseif word == 'option' then
			section[name] = value
		elseif word == 'list' then
			section[name] = section[name] or {}
			table.insert(section[name], value)
		end
	end
	if file then
		file:close()
	end
	return found
end

local function quoted(text)
	return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function sorted_options(section)
	local names = {}
	for name in pairs(section) do
		if name:sub(1, 1) ~= '.' then
			names[#names + 1] = name
		end
	end
	table.sort(names)
	return names
end

local function write(package, held)
	os.execute('umask 077; mkdir -p ' .. STAGED .. '; : > ' .. STAGED .. package)
	local file = assert(io.open(STAGED .. package, 'w'))
	for _, name in ipairs(held.order) do
		local section = held[name]
		file:write('config ', section['.type'], section['.anonymous'] and '' or ' ' .. quoted(name), '\n')
		for _, option in ipairs(sorted_options(section)) do
			local value = section[option]
			local word = type(value) == 'table' and 'list' or 'option'
			for _, item in ipairs(type(value) == 'table' and value or { value }) do
				file:write('\t', word, ' ', option, ' ', quoted(item), '\n')
			end
		end
	end
	file:close()
end

function Cursor:package(name)
	self.held[name] = self.held[name] or read(name)
	return self.held[name]
end

function Cursor:get(package, section, option)
	local found = self:package(package)[section]
	return found and found[option or '.type']
end

function Cursor:get_bool(...)
	local value = self:get(...)
	return value == '1' or value == 'true' or value == 'yes' or value == 'on'
end

-- The real one takes texts, numbers and lists; simple-uci adds true and false. Nothing else.
function Cursor:set(package, section, option, value)
	local held = self:package(package)
	if value == nil then
		if not held[section] then
			held[section] = { ['.name'] = section }
			table.insert(held.order, section)
		end
		held[section]['.type'] = option
		return true
	end
	if type(value) == 'boolean' then
		value = value and '1' or '0'
	end
	assert(section and held[section], 'no section ' .. tostring(section))
	assert(type(value) ~= 'table' or #value > 0, option .. ' is an empty list')
	held[section][option] = type(value) == 'table' and value or tostring(value)
	return true
end

function Cursor:section(package, kind, name, values)
	self:set(package, name, kind)
	for option, value in pairs(values or {}) do
		self:set(package, name, option, value)
	end
	return name
end

function Cursor:delete(package, section, option)
	local held = self:package(package)
	if option then
		held[section][option] = nil
		return true
	end
	held[section] = nil
	for i, name in ipairs(held.order) do
		if name == section then
			table.remove(held.order, i)
			return true
		end
	end
	return false
end

function Cursor:foreach(package, kind, call)
	local held = self:package(package)
	for _, name in ipairs({ unpack(held.order) }) do
		if held[name]['.type'] == kind then
			call(held[name])
		end
	end
end

function Cursor:delete_all(package, kind, comparator)
	self:foreach(package, kind, function(section)
		local matches = true
		for option, value in pairs(type(comparator) == 'table' and comparator or {}) do
			matches = matches and section[option] == value
		end
		if matches and (type(comparator) ~= 'function' or comparator(section)) then
			self:delete(package, section['.name'])
		end
	end)
end

function Cursor:save(package)
	write(package, self:package(package))
	self.held[package] = nil
	return true
end

function Cursor.commit()
	error('a script of a package commits')
end

return {
	cursor = function()
		return setmetatable({ held = {} }, Cursor)
	end,
}
