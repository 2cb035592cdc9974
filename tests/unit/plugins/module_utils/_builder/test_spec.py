# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import (
    Item,
    Spec,
    environment_name,
    package_name,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec_file import parse_spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

FULL = """\
name: demo
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - conda-forge::numpy >=1.20
  - pip
  - pip:
      - attrs
      - requests==2.31.0
variables:
  DEMO: 1.10
  ANSWER: yes
prefix: /home/ann/envs/demo
"""


def test_everything_is_as_typed_with_its_line() -> None:
    assert parse_spec(FULL, "e.yml", "linux-64") == Spec(
        name="demo",
        origin="e.yml:1",
        channels=("conda-forge", "nodefaults"),
        dependencies=(Item("python=3.11", 6), Item("conda-forge::numpy >=1.20", 7), Item("pip", 8)),
        pip=(Item("attrs", 10), Item("requests==2.31.0", 11)),
        variables=(("ANSWER", "yes"), ("DEMO", "1.10")),
        warnings=("e.yml:15: `prefix` is ignored: hosts have their own",),
    )


def test_for_all_platforms_nothing_is_left_out() -> None:
    text = "dependencies:\n  - a  # [win]\n  - sel(osx): b\n  - pip:\n      - -r c.txt  # [linux]\n"
    found = parse_spec(text, "e.yml", None)
    assert [item.text for item in (*found.dependencies, *found.pip)] == ["a", "b", "-r c.txt"]


@pytest.mark.parametrize(
    ("dependency", "name"),
    [
        ("numpy", "numpy"),
        ("NumPy >=1", "numpy"),
        ("conda-forge::bzip2=1.0.8=h1", "bzip2"),
        ("file:///srv/chan::six", "six"),
        ("ruamel.yaml[version='>=1']", "ruamel.yaml"),
        ("_libgcc_mutex", "_libgcc_mutex"),
        ("./p/my-own-1.0-0.conda", "my-own"),
        ("https://h/c/noarch/six-1.16.0-py_0.tar.bz2#" + "0" * 32, "six"),
        (">=1", ""),
    ],
)
def test_package_names(dependency: str, name: str) -> None:
    assert package_name(dependency) == name


@pytest.mark.parametrize("name", [None, "", "a/b", "..", ".hidden", "-n", "a b", "base", "é"])
def test_names_that_are_refused(name: str | None) -> None:
    with pytest.raises(SpecError, match=r"^e\.yml: "):
        environment_name(name, "e.yml")


@pytest.mark.parametrize("name", ["demo", "py3.11", "_x", "a-b_c+d"])
def test_names_that_are_accepted(name: str) -> None:
    assert environment_name(name, "e.yml") == name
