# SPDX-License-Identifier: MIT
"""Names of interfaces, and the configuration files that they stand for."""

from tunlite import addresses
from tunlite.errors import NEVER, UserError, said
from tunlite.system import port

CONFIG_FOLDERS = ("/etc/tunlite", "/etc/wireguard")
_NAME_MAX = 15
_ENOENT = 2


class BadName(UserError):
    """It is no name, or no file has it."""

    status = NEVER


def check_name(name):
    """BadName unless the kernel, wg-quick and our files take it as an interface's name."""
    if not addresses.is_word(name, "_=+.-"):
        raise BadName(f'"{name}" is no name for an interface: use letters, digits and _=+.-')
    if not name or len(name) > _NAME_MAX or name in (".", ".."):
        raise BadName(f'"{name}" is no name for an interface: it needs 1 to {_NAME_MAX} letters')


def name_of(path):
    """The interface that a configuration file is for."""
    name = path.split("/")[-1]
    if name.endswith(".conf"):
        name = name[:-5]
    check_name(name)
    return name


def absolute(path):
    """The path as another process finds it at a reload."""
    return path if path.startswith("/") else port.getcwd() + "/" + path


def find_config(text):
    """(name, path) of what the user calls NAME or FILE."""
    if "/" in text or text.endswith(".conf"):
        return name_of(text), absolute(text)
    check_name(text)
    for folder in CONFIG_FOLDERS:
        path = f"{folder}/{text}.conf"
        try:
            port.stat(path)
            return text, path
        except OSError as e:
            if e.errno != _ENOENT:
                raise BadName(f"{path} cannot be read: {said(e)}; are you root?")
    raise BadName(f"there is no {text}.conf in {' or '.join(CONFIG_FOLDERS)}")
