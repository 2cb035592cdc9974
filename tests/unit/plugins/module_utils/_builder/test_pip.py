# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import pip
from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import RequirementFile
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package


def test_what_leads_pip_away_is_left_out() -> None:
    user = {
        "PIP_TARGET": "/elsewhere",
        "PYTHONPATH": "/elsewhere",
        "PYTHONHOME": "/elsewhere",
        "VIRTUAL_ENV": "/elsewhere",
        "PIP_USER": "1",
        "PIP_INDEX_URL": "https://index.example.com",
        "https_proxy": "http://proxy:3128",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "PATH": "/usr/bin",
    }
    found = pip.environment(user, "/p")
    assert "/elsewhere" not in found.values()
    assert {name: found[name] for name in ("PIP_INDEX_URL", "https_proxy", "SSL_CERT_FILE")} == {
        "PIP_INDEX_URL": "https://index.example.com",
        "https_proxy": "http://proxy:3128",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }
    assert (found["PIP_USER"], found["PYTHONNOUSERSITE"], found["PATH"]) == ("0", "1", "/p/bin:/usr/bin")


def test_the_users_options_come_last() -> None:
    command = pip.arguments("/p", "r.txt", ["--only-binary=:all:"])
    assert command[:5] == ["/p/bin/python", "-m", "pip", "--disable-pip-version-check", "install"]
    assert command[-3:] == ["--requirement", "r.txt", "--only-binary=:all:"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["Collecting x", "ERROR: No matching distribution found for x"],
            "ERROR: No matching distribution found for x",
        ),
        (["something", "broke"], "something broke"),
        ([], "it said nothing"),
        (["ERROR: 403 for https://ann:pw@index/simple/x"], "ERROR: 403 for https://***@index/simple/x"),
    ],
)
def test_failures_are_one_line_without_credentials(lines: list[str], message: str) -> None:
    assert pip.failure(1, lines) == f"pip failed (1): {message}"


def test_editable_installs_are_told(tmp_path: Path) -> None:
    for name, url in (("a", '{"dir_info": {"editable": true}}'), ("b", '{"dir_info": {}}'), ("c", "")):
        metadata = tmp_path / f"lib/python3.11/site-packages/{name}-1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Name: {name}\nVersion: 1\n\n")
        if url:
            (metadata / "direct_url.json").write_text(url)
    with pytest.raises(BuildError, match=r"^pip installed a as editable, which cannot travel; "):
        pip._refuse_editable(str(tmp_path))


def test_pips_messages_name_the_users_files() -> None:
    files = (RequirementFile("/w/e.yml", ()), RequirementFile("/w/r.txt", ()))
    said = "pip failed (1): ERROR: Invalid requirement: 'x y' (from line 3 of /t/1.txt)"
    assert pip._in_the_users_words(said, files, "/t") == said.replace("/t/1.txt", "/w/r.txt")


def test_predicted() -> None:
    assert pip.predicted(["Attrs==23.1.0 ; python_version > '3'", "my_pkg[extra]>=1", "--pre", "x==1.*"]) == [
        Package("attrs", "23.1.0", manager=PIP),
        Package("my-pkg", "to be resolved", manager=PIP),
        Package("x", "to be resolved", manager=PIP),
    ]


def test_packages_are_those_that_conda_does_not_own(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "lib" / "python3.1").symlink_to("python3.11")
    for name in ("Mine_pkg", "six"):
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        text = f"Name: {name}\nVersion: 1.0\nLicense: MIT\n\nName: not me\n"
        (site / f"{name}-1.0.dist-info" / "METADATA").write_text(text)
    owned = {"lib/python3.11/site-packages/six-1.0.dist-info/METADATA"}
    assert pip.packages(str(tmp_path), owned) == [Package("mine-pkg", "1.0", manager=PIP, licence="MIT")]
