# SPDX-License-Identifier: MIT
"""Packages for OpenWrt, .ipk and .apk, and a folder that opkg and apk take as a feed.

rows says what packages there are, architectures what OpenWrt calls what we build.
"""
