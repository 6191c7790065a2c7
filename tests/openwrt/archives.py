# SPDX-License-Identifier: MIT
"""An .ipk taken apart."""

import io
import tarfile


def members(data):
    """{name: (tarfile's entry, bytes)} of a gzipped tar."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name: (m, tar.extractfile(m).read() if m.isfile() else b"") for m in tar}


def files_of(package):
    """What an .ipk installs."""
    return members(members(package)["./data.tar.gz"][1])


def meta_of(package):
    """What an .ipk tells opkg."""
    return members(members(package)["./control.tar.gz"][1])


def control_of(package):
    """The fields of its control file."""
    text = meta_of(package)["./control"][1].decode()
    return dict(line.split(": ", 1) for line in text.splitlines() if line)
