# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import (
    Spec,
    environment_name,
    package_name,
    parse_spec,
)
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


def test_everything_is_as_typed() -> None:
    assert parse_spec(FULL, "e.yml") == Spec(
        name="demo",
        channels=("conda-forge", "nodefaults"),
        dependencies=("python=3.11", "conda-forge::numpy >=1.20", "pip"),
        pip=("attrs", "requests==2.31.0"),
        variables=(("ANSWER", "yes"), ("DEMO", "1.10")),
        warnings=("e.yml:15: `prefix` is ignored: hosts have their own",),
    )


def test_unknown_keys_are_warned_about() -> None:
    assert parse_spec("dependencies: [a]\nfoo: 1\n", "e.yml").warnings == ("e.yml:2: `foo` is not known and ignored",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "e.yml: is not an environment.yml"),
        ("- a\n", "e.yml: is not an environment.yml"),
        ("name: a\n", "e.yml: names no dependencies"),
        ("dependencies: [a\n", "e.yml:2: is not YAML: "),
        ("name: a\n\tdependencies: []\n", "e.yml:2: is not YAML: "),
        ("name: a\ndependencies: python\n", "e.yml:2: dependencies must be a list"),
        ("dependencies: [a]\nchannels: x\n", "e.yml:2: channels must be a list"),
        ("dependencies:\n- a\n-\n", "e.yml:3: a text is expected here"),
        ("dependencies:\n- a\n- npm: [b]\n", "e.yml:3: `npm:` is not known inside dependencies"),
        ("dependencies:\n- pip:\n  - -e ./x\n", "e.yml:3: '-e ./x' is an editable install"),
        ("dependencies:\n- pip:\n  - -r x.txt\n", "e.yml:3: '-r x.txt': further files are not read"),
        ("dependencies: [a]\nname: x\nname: y\n", "e.yml:3: `name` is there twice"),
        ("dependencies: [a]\nvariables: [b]\n", "e.yml:2: variables must be a mapping"),
    ],
)
def test_errors_name_file_and_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec(text, "e.yml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dependency", "name"),
    [
        ("numpy", "numpy"),
        ("NumPy >=1", "numpy"),
        ("conda-forge::bzip2=1.0.8=h1", "bzip2"),
        ("file:///srv/chan::six", "six"),
        ("ruamel.yaml[version='>=1']", "ruamel.yaml"),
        ("_libgcc_mutex", "_libgcc_mutex"),
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
