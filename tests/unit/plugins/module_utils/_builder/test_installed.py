# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.installed import installed_packages
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package

SITE = "lib/python3.11/site-packages"


def install_conda(prefix: Path, name: str, files: t.Sequence[str] = (), **fields: t.Any) -> None:
    record = {"name": name, "version": "1.0", "build": "0", "files": list(files), **fields}
    (prefix / "conda-meta").mkdir(exist_ok=True)
    (prefix / f"conda-meta/{name}-1.0-0.json").write_text(json.dumps(record))


def install_wheel(prefix: Path, name: str, *headers: str) -> str:
    path = f"{SITE}/{name}-2.0.dist-info/METADATA"
    (prefix / path).parent.mkdir(parents=True)
    (prefix / path).write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 2.0", *headers, "", "text"])
    )
    return path


def test_packages_of_both_managers_are_found_in_order(tmp_path: Path) -> None:
    owned = install_wheel(tmp_path, "Numpy")
    install_wheel(tmp_path, "My_Own.pkg", "License: MIT")
    (tmp_path / "lib/python3.1").symlink_to("python3.11")
    install_conda(tmp_path, "numpy", [owned], license="BSD", channel="https://conda.anaconda.org/conda-forge/")
    install_conda(tmp_path, "zlib")
    assert installed_packages(str(tmp_path)) == (
        Package("my-own-pkg", "2.0", manager=PIP, licence="MIT"),
        Package("numpy", "1.0", "0", "conda-forge", licence="BSD"),
        Package("zlib", "1.0", "0"),
    )


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ([], ""),
        (["License: BSD"], "BSD"),
        (["License: long", "        and more of it"], "long"),
        (["License: old", "License-Expression: BSD-3-Clause"], "BSD-3-Clause"),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT License"),
        (["License: long", "        text", "Classifier: License :: OSI Approved", "Classifier: License :: A"], "A"),
        (["Classifier: License :: OSI Approved :: A", "Classifier: License :: OSI Approved :: B"], "A, B"),
    ],
)
def test_the_licence_of_a_wheel_is_one_line(tmp_path: Path, headers: list[str], licence: str) -> None:
    install_conda(tmp_path, "python")
    install_wheel(tmp_path, "x", *headers)
    assert installed_packages(str(tmp_path))[1].licence == licence


@pytest.mark.parametrize(
    ("channel", "named"),
    [
        ("https://conda.anaconda.org/conda-forge", "conda-forge"),
        ("https://ann:pw@mirror.example.com/t/tk/forge", "https://mirror.example.com/forge"),
        ("file:///home/ann/channel", "file:///channel"),
        (None, ""),
    ],
)
def test_channels_say_nothing_of_the_builder(tmp_path: Path, channel: str | None, named: str) -> None:
    install_conda(tmp_path, "x", channel=channel)
    assert installed_packages(str(tmp_path))[0].channel == named


def test_a_prefix_with_brackets_is_a_path_like_any_other(tmp_path: Path) -> None:
    prefix = tmp_path / "a[b]*"
    prefix.mkdir()
    install_conda(prefix, "python")
    install_wheel(prefix, "x")
    assert [package.name for package in installed_packages(str(prefix))] == ["python", "x"]
