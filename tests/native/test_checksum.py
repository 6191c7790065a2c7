# SPDX-License-Identifier: MIT
"""Sums, copies and changes of checksums, by every implementation, against plain Python."""

import struct

from hypothesis import example, given, settings, strategies as st

from tests.native import offload_ffi, offload_model, offload_packets

WORD = st.integers(0, 65535)
LENGTHS = st.one_of(st.integers(0, 300), st.integers(0, 66000))


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(length=LENGTHS, seed=st.integers(0, 30), shift=st.integers(0, 7))
@example(length=66000, seed=1, shift=0)
@example(length=66000, seed=1, shift=2)
def test_every_implementation_sums_and_copies_as_plain_python(where, length, seed, shift):
    native = offload_ffi.native(where)
    data = offload_packets.noise(seed, length)
    wanted = offload_model.internet_sum(data)
    for i, name in native.checksums().items():
        assert native.sum(data, shift, i) == (wanted, wanted, data), name


@offload_ffi.everywhere
def test_the_portable_implementation_is_always_there(where):
    assert "portable" in offload_ffi.native(where).checksums().values()


@offload_ffi.everywhere
@settings(deadline=None, max_examples=300)
@given(words=st.lists(WORD, min_size=2, max_size=9), new=WORD)
@example(words=[0x8000, 0x7FFF], new=0x7FFE)
def test_a_changed_word_changes_the_checksum_as_if_summed_anew(where, words, new):
    def pack(w):
        return struct.pack(f">{len(w)}H", *w)

    before = offload_model.internet_checksum(pack(words))
    changed = [*words[:-1], new]
    after = offload_ffi.native(where).update(before, words[-1], new)
    summed = offload_model.internet_sum(pack(changed) + struct.pack(">H", after))
    assert summed == (0xFFFF if any([*changed, after]) else 0)


@offload_ffi.everywhere
@settings(deadline=None, max_examples=100)
@given(version=st.sampled_from([4, 6]), tos=st.integers(0, 255), ecn=st.integers(0, 3))
def test_the_ecn_field_alone_changes_and_the_ip_checksum_stays_right(where, version, tos, ecn):
    ip = offload_packets.Ip(version, tos=tos)
    marked = offload_packets.Ip(version, tos=tos & ~3 | ecn)
    packet = offload_packets.tcp(ip, b"data")
    wanted = offload_packets.tcp(marked, b"data")
    assert offload_ffi.native(where).set_ecn(packet, ecn) == wanted


@offload_ffi.everywhere
def test_a_wrong_ip_checksum_stays_wrong_when_the_ecn_field_changes(where):
    packet = bytearray(offload_packets.tcp(offload_packets.Ip(4), b"data"))
    packet[10] ^= 1
    marked = offload_ffi.native(where).set_ecn(bytes(packet), 3)
    assert marked[1] == 3
    assert offload_model.internet_sum(marked[:20]) == offload_model.internet_sum(packet[:20])
    assert offload_model.internet_sum(marked[:20]) != 0xFFFF
