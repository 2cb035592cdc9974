# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import json
import re
import stat
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import (
    corrected,
    history,
    read_records,
    settle,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.installed import installed_packages
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

# As py-rattler 0.28 writes it.
RECORD = {
    "name": "alpha",
    "version": "1.0",
    "build": "0",
    "subdir": "linux-64",
    "license": "MIT",
    "timestamp": 1600000000000,
    "indexed_timestamp": 1795342647875,
    "url": "https://ann:pw@h/t/tk-1/chan/linux-64/alpha-1.0-0.conda",
    "channel": "https://ann:pw@h/t/tk-1/chan/",
    "requested_specs": [],
    "files": ["lib/a.so", "lib/a.so.1"],
    "paths_data": {
        "paths_version": 1,
        "paths": [
            {"_path": "lib/a.so", "path_type": "softlink", "sha256": "1", "sha256_in_prefix": "2"},
            {"_path": "lib/a.so.1", "path_type": "hardlink", "sha256": "1", "sha256_in_prefix": "1"},
        ],
    },
    "link": {"source": "/pkgs/alpha-1.0-0", "type": 1},
}


def test_a_record_becomes_what_conda_would_write() -> None:
    record = corrected(RECORD, "alpha>=1")
    assert "indexed_timestamp" not in record
    assert record["url"] == "https://h/chan/linux-64/alpha-1.0-0.conda"
    assert record["channel"] == "https://h/chan/"
    assert (record["requested_spec"], record["requested_specs"]) == ("alpha>=1", ["alpha>=1"])
    assert [sorted(path) for path in record["paths_data"]["paths"]] == [
        ["_path", "path_type", "sha256"],
        ["_path", "path_type", "sha256", "sha256_in_prefix"],
    ]
    assert RECORD["indexed_timestamp"]


def test_a_dependency_of_a_dependency_was_not_requested() -> None:
    assert "requested_spec" not in corrected(RECORD, None)


def test_history_reads_as_conda_reads_it() -> None:
    text = history([corrected(RECORD, None)], ["alpha>=1", "beta[build='x*']"])
    header, command, added, specs = text.splitlines()
    assert re.fullmatch(r"==> 2020-09-13 12:26:40 <==", header)
    assert command.startswith("# cmd: ")
    assert added == "+https://h/chan/linux-64::alpha-1.0-0"
    action, listed = re.fullmatch(r"#\s*(\w+)\s*specs:\s*(.+)?", specs).groups()  # type: ignore[union-attr]
    assert (action, ast.literal_eval(listed)) == ("update", ["alpha>=1", "beta[build='x*']"])


def test_settle(tmp_path: Path) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    (tmp_path / "CACHEDIR.TAG").touch()
    (meta / "alpha-1.0-0.json").write_text(json.dumps(RECORD))
    (meta / "alpha-1.0-0.json").chmod(0o600)
    settle(str(tmp_path), ["alpha"], {"DEMO": "é"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conda-meta"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in meta.iterdir()} == {0o644}
    assert (meta / "state").read_text() == '{"env_vars": {"DEMO": "é"}}'
    assert "# update specs: ['alpha']" in (meta / "history").read_text()
    assert installed_packages(str(tmp_path)) == (Package("alpha", "1.0", "0", "https://h/chan", licence="MIT"),)
    assert not any("tk-1" in path.read_text() or "pw" in path.read_text() for path in meta.iterdir())


# As conda 26.7 writes it.
NOARCH = {
    "url": "https://c.example/noarch/beta-2-0.conda",
    "name": "beta",
    "version": "2",
    "build": "0",
    "noarch": "python",
    "subdir": "noarch",
    "channel": "https://h/chan/noarch",
    "files": ["lib/python3.11/site-packages/beta.py", "bin/tool", "bin/beta"],
    "paths_data": {
        "paths_version": 1,
        "paths": [
            {"_path": "site-packages/beta.py", "path_type": "hardlink", "sha256": "1"},
            {"_path": "python-scripts/tool", "path_type": "hardlink", "sha256": "2"},
            {"_path": "share/beta", "path_type": "hardlink", "sha256": "3"},
            {"_path": "bin/beta", "path_type": "unix_python_entry_point", "size_in_bytes": 3},
        ],
    },
}


def test_paths_of_noarch_packages_are_those_in_the_prefix(tmp_path: Path) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    (meta / "beta-2-0.json").write_text(json.dumps(NOARCH))
    python = {"name": "python", "version": "3.11.2", "build": "0"}
    stated: list[list[str]] = []
    for record in (None, python, {**python, "python_site_packages_path": "lib/python3.13t/site-packages"}):
        if record:
            (meta / "python-3.11.2-0.json").write_text(json.dumps(record))
        data = read_records(str(tmp_path))[0].data
        stated.append([path["_path"] for path in data["paths_data"]["paths"]])
    assert stated == [
        ["site-packages/beta.py", "bin/tool", "share/beta", "bin/beta"],
        ["lib/python3.11/site-packages/beta.py", "bin/tool", "share/beta", "bin/beta"],
        ["lib/python3.13t/site-packages/beta.py", "bin/tool", "share/beta", "bin/beta"],
    ]


def test_settled_prefixes_do_not_tell_what_installed_them(tmp_path: Path) -> None:
    """What rattler and conda leave different beside their records."""
    texts = []
    for indent in ("    ", "\t"):
        prefix = tmp_path / str(len(indent))
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "bin").mkdir()
        (prefix / "conda-meta/beta-2-0.json").write_text(json.dumps(NOARCH))
        (prefix / "conda-meta/created_at").touch()
        (prefix / "bin/beta").write_text(f"#!/p/python\nif True:\n{indent}main()\n")
        (prefix / "bin/beta").chmod(0o755)
        settle(str(prefix), ["beta"], {})
        assert (prefix / "bin/beta").stat().st_mode & 0o777 == 0o755
        texts.append((prefix / "bin/beta").read_text())
        assert not (prefix / "conda-meta/created_at").exists()
    assert texts[0] == texts[1]


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/a-1-0.json").write_bytes(text)
    with pytest.raises(PackError, match=r"a-1-0\.json: the record of a package is damaged \(.*; install it again"):
        read_records(str(tmp_path))
