# SPDX-License-Identifier: MIT
"""The border for CPython: native/include/tunlite.h through cffi, with every buffer's size checked.

A compiled function knows the types of its parameters, not their names, so the names stand here
once more, one line a function; tests/unit/test_cpython_native.py compares them with the header.
"""

# A pointer's name is followed by its length, or ends in it; `>` marks the ones that C writes
# through, `?` those that may be None though their length is fixed. Lower-case words are ints.
SIGNATURES = """
tl_clock clock >nanoseconds8
tl_random >out out_len
tl_wipe >buf buf_len
tl_equal <a a_len <b b_len
tl_blake2s >out out_len <key key_len <in in_len
tl_kdf >out out_len <key32 <in in_len
tl_seal >out out_len <key32 <nonce nonce_len <ad ad_len <in in_len
tl_open >out out_len <key32 <nonce nonce_len <ad ad_len <in in_len
tl_device_open >name16 layer offloads_off queue
tl_device_where fd >name16
tl_spawn <argv argv_len <env env_len stdin_fd stdout_fd fd3
tl_reap pidfd
tl_kill pidfd signal
tl_confine uid gid caps
tl_plane_new <options options_len
tl_plane_free plane
tl_plane_device plane fd
tl_plane_link plane ifindex mtu
tl_plane_listen plane port <fwmark4
tl_plane_identity plane ?mac1_key32 ?cookie_key32
tl_run plane ?deadline8
tl_plane_grow plane bytes
tl_watch plane fd events
tl_ready plane >out out_len
tl_peer_new plane
tl_peer_free plane peer
tl_peer_endpoint plane peer <endpoint48
tl_peer_rates plane peer <rates16
tl_peer_state plane peer >out out_len
tl_peer_arm plane peer events
tl_events plane >out out_len
tl_peer_flush plane peer
tl_peer_keepalive plane peer <packet packet_len
tl_peer_heard plane peer <endpoint48 bytes
tl_peer_path plane peer frame_max payload_max
tl_peer_use plane peer how
tl_macs plane <rows rows_len
tl_routes plane <rows rows_len
tl_index_new plane peer >index4
tl_index_free plane <index4
tl_handshake plane >out out_len
tl_send plane peer <endpoint48 <message message_len
tl_session_new plane <session session_len
tl_session_use plane <index4
tl_seen plane what >out out_len
tl_measure <name name_len size packets >nanoseconds8
"""


def _fixed_length(name):
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if digits else None


def _wrap(ffi, function, name, parameters):
    """A checked call of `function`; `parameters` as SIGNATURES writes them."""
    plan = [(p[0], p.lstrip("<>?"), _fixed_length(p)) for p in parameters]

    def pointer(index, value, arguments):
        mark, label, fixed = plan[index]
        length = fixed if fixed is not None else arguments[index + 1]
        if value is None:
            if mark == "?" or (fixed is None and length == 0):
                return ffi.NULL
            raise ValueError(name + ": " + label + " may not be None")
        found = ffi.from_buffer("unsigned char[]", value, require_writable=mark == ">")
        if length < 0 or len(found) < length or (fixed is not None and len(found) != fixed):
            text = "{}: {} has {} bytes, wanted are {}"
            raise ValueError(text.format(name, label, len(found), length))
        return found

    def call(*arguments):
        if len(arguments) != len(plan):
            raise TypeError("{} takes {} arguments".format(name, len(plan)))
        converted = [
            pointer(i, value, arguments) if plan[i][0] in "<>?" else value
            for i, value in enumerate(arguments)
        ]
        return function(*converted)

    call.__name__ = name
    return call


class Native:
    """The tl_* functions as attributes, each made at its first use."""

    def __getattr__(self, name):
        from tunlite import _native

        for line in SIGNATURES.splitlines():
            words = line.split()
            if words and words[0] == name:
                call = _wrap(_native.ffi, getattr(_native.lib, name), name, words[1:])
                setattr(self, name, call)
                return call
        raise AttributeError(name)


native = Native()


def x25519(out, k, u):
    """X25519 of RFC 7748 by PyNaCl's libsodium, without a copy of the secret in Python's memory."""
    from nacl._sodium import ffi, lib

    views = [
        ffi.from_buffer("unsigned char[]", out, require_writable=True),
        ffi.from_buffer("unsigned char[]", k),
        ffi.from_buffer("unsigned char[]", u),
    ]
    if any(len(view) != 32 for view in views):
        raise ValueError("x25519 takes three buffers of 32 bytes")
    if lib.crypto_scalarmult(*views) != 0:
        ffi.buffer(views[0])[:] = bytes(32)
        return False
    return True
