# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import LeakRules
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import (
    Packing,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    SITE,
    Handmade,
    PackageFile,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.packed import (
    HERE,
    Packed,
    pack,
    refused,
    staged,
)


def test_a_binary_of_no_package_that_names_the_prefix_is_refused(made: Handmade, tmp_path: Path) -> None:
    made.put("lib/own.so", b"\x7fELF\0" + os.fsencode(made.prefix) + b"/lib\0")
    assert refused(made, tmp_path).startswith(
        f"lib/own.so is a binary that names {made.prefix} and belongs to no conda package, so it cannot be relocated;"
    )


def test_a_binary_of_no_package_that_names_a_neighbour_is_packed(made: Handmade, tmp_path: Path) -> None:
    data = b"\x7fELF\0" + os.fsencode(made.prefix) + b"-tools/lib\0"
    made.put("lib/own.so", data)
    assert pack(made, tmp_path / "dist").entries["lib/own.so"].sha256 == hashlib.sha256(data).hexdigest()


def test_files_of_packages_that_someone_changed_are_refused(made: Handmade, tmp_path: Path) -> None:
    for path in ("bin/tool", "share/plain"):
        made.prefix.joinpath(path).unlink()
        made.put(path, b"changed")
    reason = refused(made, tmp_path)
    assert reason.startswith(
        "files of conda packages were changed after they were installed (tool: bin/tool and 1 more);"
    )


def test_a_copied_file_of_a_package_is_none_that_was_changed(made: Handmade, packed: Packed, tmp_path: Path) -> None:
    path = made.prefix / "share/plain"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert pack(made, tmp_path / "again").manifest.content_id == packed.manifest.content_id


def test_a_missing_file_of_a_package_is_refused(made: Handmade, tmp_path: Path) -> None:
    (made.prefix / "share/plain").unlink()
    reason = refused(made, tmp_path)
    assert "deleted/overwritten" in reason and "share/plain" in reason


def test_a_damaged_package_cache_is_refused(made: Handmade, tmp_path: Path) -> None:
    cached = made.cache / "tool-1.0-0/bin/tool"
    cached.write_bytes(cached.read_bytes().replace(b"echo", b"evil"))
    assert refused(made, tmp_path) == "bin/tool is damaged in the package cache; empty the cache and build again"


def test_an_empty_package_cache_is_refused(made: Handmade, tmp_path: Path) -> None:
    shutil.rmtree(made.cache / "tool-1.0-0")
    assert refused(made, tmp_path).startswith(f"{made.prefix} cannot be packed: Conda-managed packages were found")


def test_what_is_no_file_is_refused(made: Handmade, tmp_path: Path) -> None:
    os.mkfifo(made.prefix / "lib/pipe")
    assert refused(made, tmp_path) == (
        f"{made.prefix}/lib/pipe is neither a file, a link nor a directory; take it out of the environment"
    )


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="is not a conda environment"):
        Packing(str(tmp_path), Progress())


def test_a_package_that_names_the_builder_is_refused(made: Handmade, tmp_path: Path) -> None:
    made.install("evil", {"share/evil": PackageFile(b"built in " + os.fsencode(made.prefix) + b"/x")})
    assert refused(made, tmp_path).startswith(f"share/evil would carry the builder's path {made.prefix}, which no host")


def test_a_package_lost_from_the_cache_in_part_is_refused(made: Handmade, tmp_path: Path) -> None:
    (made.cache / "tool-1.0-0/share/plain").unlink()
    assert refused(made, tmp_path) == (
        f"{made.cache}/tool-1.0-0/share/plain is missing; if it is the package cache's, empty that and build again"
    )


@pytest.mark.parametrize("name", ["easy-install.pth", "own.egg-link"])
def test_what_leads_out_of_the_environment_is_refused(made: Handmade, tmp_path: Path, name: str) -> None:
    made.put(f"{SITE}/{name}", f"{made.prefix}/lib\n/home/ann/src\n".encode())
    assert refused(made, tmp_path).startswith(f"{SITE}/{name} leads to /home/ann/src, outside of the environment")


def test_what_leads_about_inside_is_packed(made: Handmade, tmp_path: Path) -> None:
    made.put(f"{SITE}/own.pth", f"import sys; sys.path\n{made.prefix}/lib\nbelow\n# /x\n".encode())
    assert pack(made, tmp_path / "dist").entries[f"{SITE}/own.pth"].relocations == HERE


def test_a_binary_that_may_name_the_builder_is_packed_as_it_is(made: Handmade, tmp_path: Path) -> None:
    data = b"\0" + os.fsencode(made.prefix) + b"/lib\0"
    made.put("lib/own.so", data)
    run = Packing(str(made.prefix), Progress(), LeakRules(exempt=("lib/own*",)))
    run.pack(str(tmp_path), "env", "linux-64")
    assert [(leak.path, leak.trace.text) for leak in run.leaks] == [("lib/own.so", str(made.prefix))]


def test_an_origin_in_the_builders_files_is_packed_as_a_name(made: Handmade, tmp_path: Path) -> None:
    origin = f"{SITE}/own-1.dist-info/direct_url.json"
    made.put(origin, b'{"url": "file:///home/ann/own-1-py3-none-any.whl", "archive_info": {}}')
    made.put(f"{SITE}/own-1.dist-info/RECORD", b"own-1.dist-info/direct_url.json,sha256=old,1\n")
    root = staged(pack(made, tmp_path / "dist"), "/opt/envs/ml", tmp_path / "host")
    text = (root / origin).read_bytes()
    assert json.loads(text)["url"] == "file:///own-1-py3-none-any.whl"
    digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    record = (root / f"{SITE}/own-1.dist-info/RECORD").read_text()
    assert record == f"own-1.dist-info/direct_url.json,sha256={digest},{len(text)}\n"


def test_what_conda_pack_passes_over_at_the_top_is_packed(made: Handmade, tmp_path: Path) -> None:
    made.put("users/guide/note.txt", f"in {made.prefix}".encode())
    made.put("draft~", b"kept")
    made.link("users/link", "guide")
    (made.prefix / "users/empty").mkdir()
    entries = pack(made, tmp_path / "dist").entries
    assert entries["users/guide/note.txt"].relocations == HERE
    assert {"draft~", "users/link", "users/empty"} <= set(entries)


def test_an_environment_that_changes_meanwhile_is_refused(made: Handmade, tmp_path: Path) -> None:
    packing_run = Packing(str(made.prefix), Progress())
    members = packing_run.members()
    made.put("etc/own.conf", b"longer than it was before, by far\n" * 50)
    packing_run.members = lambda: members  # type: ignore[method-assign]
    (tmp_path / "dist").mkdir()
    with pytest.raises(PackError, match=r"^etc/own\.conf changed while it was packed"):
        packing_run.pack(str(tmp_path / "dist"), "env", "linux-64")
