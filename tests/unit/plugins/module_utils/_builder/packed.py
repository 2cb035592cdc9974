# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An environment with all that there is to pack, and what packing makes of it."""

from __future__ import annotations

import gzip
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import packing
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import (
    Packing,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    PLACEHOLDER,
    TEXT,
    Entry,
    parse_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Manifest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    CONDA_PLACEHOLDER,
    SITE,
    Handmade,
    PackageFile,
)

OLD = CONDA_PLACEHOLDER.encode()
HERE = ((PLACEHOLDER, TEXT),)

#: Of its source a second before 2023-03-28, as packages have it.
SOURCE_TIME = 1_680_000_000


def pyc(*names: bytes) -> bytes:
    """Return bytecode as packages ship it: header, time of the source, and the paths it names."""
    return b"\xa7\r\r\n" + b"\0" * 4 + SOURCE_TIME.to_bytes(4, "little") + b"\0\0\0\0" + b"\0".join([b"code", *names])


TOOL = {
    "bin/tool": PackageFile(b"#!/bin/sh\necho " + OLD + b"\n", 0o755, "text"),
    "lib/libtool.so.1": PackageFile(b"\x7fELF\0" + OLD + b"/lib\0end\0", 0o755, "binary"),
    "lib/libtool.so": PackageFile(target="libtool.so.1"),
    "share/plain": PackageFile(b"plain", 0o664),
}
PYTHON = {
    "bin/python3.11": PackageFile(b"\x7fELF python", 0o755),
    "bin/python": PackageFile(target="python3.11"),
    "lib/python3.11/os.py": PackageFile(b"import sys\n"),
    "lib/python3.11/__pycache__/os.cpython-311.pyc": PackageFile(pyc(b"/b/_h_env_placehold_placehold_pla/lib/os.py")),
}
NOARCH = {"site-packages/lib_a/__init__.py": PackageFile(b"NAME = 'a'\n")}


def fill(made: Handmade) -> Handmade:
    """Install all of the above, and what pip and people add."""
    made.install("python", PYTHON, version="3.11.4", depends=["__glibc >=2.17"])
    made.install("tool", TOOL)
    made.install_noarch("lib_a", NOARCH, ["lib-a"])
    here = str(made.prefix)
    made.put("bin/pip-tool", f"#!{here}/bin/python\nprint()\n".encode(), 0o755)
    record = (
        "../../../bin/pip-tool,sha256=old,1\nown/__init__.py,sha256=x,1\nown/__pycache__/__init__.cpython-311.pyc,,\n"
    )
    made.put(f"{SITE}/own-1.dist-info/RECORD", record.encode())
    made.put(f"{SITE}/own-1.dist-info/WHEEL", b"Tag: cp311-cp311-manylinux_2_28_x86_64\n")
    made.put(f"{SITE}/own/__init__.py", b"x")
    made.put(f"{SITE}/own/__pycache__/__init__.cpython-311.pyc", pyc(here.encode()))
    made.put("etc/own.conf", f"home = {here}; other = {here}-tools; {here}\n".encode(), 0o640)
    made.link("lib/absolute", f"{here}/bin/tool")
    made.link("lib/localtime", "/etc/localtime")
    made.link("lib/neighbour", f"{here}-tools/bin")
    (made.prefix / "var/empty").mkdir(parents=True)
    return made


class Packed(t.NamedTuple):
    """An archive of an environment, its list, and its manifest."""

    manifest: Manifest
    entries: dict[str, Entry]
    directory: Path


def pack(made: Handmade, directory: Path) -> Packed:
    directory.mkdir()
    manifest = Packing(str(made.prefix), Progress()).pack(str(directory), "env", "linux-64")
    entries = parse_files(gzip.decompress((directory / manifest.files.file).read_bytes()))
    return Packed(manifest, {entry.path: entry for entry in entries}, directory)


def staged(packed: Packed, prefix: str, root: Path) -> Path:
    """Deploy the archive as a host does it, but for bytecode and registration."""
    staging = Staging(str(root), prefix, os.geteuid(), os.getegid())
    with open(packed.directory / packing.ARCHIVE_NAME, "rb", buffering=0) as archive:
        entries = list(packed.entries.values())
        staging.lay_out(entries)
        staging.extract(entries, packed.manifest.carriers, "zstd", t.cast(t.BinaryIO, archive), Progress())
    staging.renew(entries)
    return root


def refused(made: Handmade, tmp_path: Path) -> str:
    """Return why packing is refused, in one line; a plan is refused alike."""
    with pytest.raises(PackError) as planned:
        Packing(str(made.prefix), Progress()).content_id()
    with pytest.raises(PackError) as caught:
        pack(made, tmp_path / "dist")
    assert str(caught.value) == str(planned.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)
