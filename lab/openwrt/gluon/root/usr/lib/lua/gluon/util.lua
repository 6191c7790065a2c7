-- SPDX-License-Identifier: MIT
-- A stand-in for what we use of gluon.util.

local M = {}

function M.trim(text)
	return (text:gsub('^%s*(.-)%s*$', '%1'))
end

function M.exec(command)
	local program = io.popen(command)
	local said = program:read('*a')
	program:close()
	return said
end

function M.glob(pattern)
	local found = {}
	for path in M.exec('ls -d ' .. pattern .. ' 2>/dev/null'):gmatch('[^\n]+') do
		found[#found + 1] = path
	end
	return found
end

return M
