# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever solves and installs: the same bundle of the same packages, the same sentences for the same problems.

    AIRGAP_TEST_CONDA=/opt/miniforge3 .venv/bin/pytest tests/live/test_backends.py tests/live/test_mirrors.py

conda is in no package index that the suite could install it from, so it takes part where $AIRGAP_TEST_CONDA names one;
without, the embedded solver is held to the same sentences. No mamba or micromamba could be had: the words that they are
given, and how their answers are read, are tables of the unit tests, made of their sources.
"""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from world import ansible, backends, bundles, conda_package, hard
from world.conda_package import Package
from world.repodata import write_repodata


@pytest.fixture
def conda() -> str:
    named = backends.conda()
    if not named:
        pytest.skip("no conda is named; run with AIRGAP_TEST_CONDA=/path/of/an/installation")
    return named


def bundle(directory: Path, spec: str, channel: str, **variables: t.Any) -> dict[str, t.Any]:
    """Build the bundle of *spec* as a user whose home is *directory*, and return its manifest."""
    directory.mkdir()
    (directory / "environment.yml").write_text(spec)
    given = json.dumps({"env_build_channels": [channel], "env_build_dist": "dist", **variables})
    arguments = ("-e", "env_build_spec=environment.yml", "-e", given)
    done = ansible.play("airgap.conda.build", *arguments, cwd=directory, home=directory)
    assert done.rc == 0, done.output
    manifest: dict[str, t.Any] = json.loads(next(directory.glob("dist/*-*-*-????????????/manifest.json")).read_text())
    return manifest


def test_conda_makes_the_bundle_of_the_embedded_solver(conda: str, example: Path, channel: str, tmp_path: Path) -> None:
    ours = json.loads((example / "manifest.json").read_text())
    theirs = bundle(tmp_path / "home", bundles.EXAMPLE, channel, env_build_conda_exe=conda)
    for what in ("content_id", "tar", "packages", "needs"):
        assert theirs[what] == ours[what]
    # Nothing of it is registered with conda, nor is anything of the user's changed.
    registered = tmp_path / "home/.conda/environments.txt"
    assert not registered.exists() or registered.read_text() == ""


#: Fields of repodata that solvers carry on each in its own way.
ODD: dict[str, t.Any] = {
    "arch": None,
    "platform": "linux",
    "license_family": "MIT",
    "track_features": "",
    "constrains": ["other >=2"],
    "legacy_bz2_md5": "0123456789abcdef0123456789abcdef",
    "legacy_bz2_size": 4711,
    "date": "2020-01-01",
    "purls": ["pkg:pypi/alpha"],
    "run_exports": {"weak": ["alpha"]},
    "summary": "Alpha",
    "python_site_packages_path": "lib/python3.11/site-packages",
    "preferred_env": None,
}


def test_odd_fields_of_a_channel_make_no_difference(conda: str, tmp_path: Path) -> None:
    tree, channel = tmp_path / "tree", tmp_path / "channel"
    (tree / "share").mkdir(parents=True)
    (tree / "share/alpha.txt").write_text("alpha\n")
    conda_package.write(Package("alpha", "1.0", "MIT"), tree, channel)
    write_repodata(channel)
    for subdir in channel.glob("*/repodata.json"):
        repodata = json.loads(subdir.read_text())
        for record in repodata["packages.conda"].values():
            record.update(ODD)
        subdir.write_text(json.dumps(repodata))
        subdir.with_suffix(".json.zst").unlink()
    spec = "name: odd\ndependencies: [alpha]\n"
    ours = bundle(tmp_path / "ours", spec, str(channel), env_build_backend="rattler")
    theirs = bundle(tmp_path / "theirs", spec, str(channel), env_build_conda_exe=conda)
    assert theirs["content_id"] == ours["content_id"]


def test_what_is_hard_to_carry_is_carried_alike(conda: str, channel: str, tmp_path: Path) -> None:
    """Hard links, odd names, modes, entry points, scripts that run after linking.

    conda itself does not link a package with an absolute link that leads nowhere.
    """
    dependencies = [name for name in (*hard.CARRIED, *hard.CARRIED_PYTHON) if name != "links"]
    spec = json.dumps({"name": "hard", "dependencies": dependencies})
    ours = bundle(tmp_path / "ours", spec, channel, env_build_backend="rattler")
    theirs = bundle(tmp_path / "theirs", spec, channel, env_build_conda_exe=conda)
    assert theirs["content_id"] == ours["content_id"]


#: By name: dependencies, options of the module, and how the sentence begins.
PROBLEMS: dict[str, tuple[str, dict[str, t.Any], str]] = {
    "an unknown name": ("[pandsa]", {}, "no channel has a package pandsa; did you mean pandas? (channels: file:///"),
    "no such version": ("[python=2.7]", {}, "the dependencies cannot be satisfied together: "),
    "hosts too old": (
        "[numpy]",
        {"virtual_packages": {"glibc": "2.5"}},
        "the dependencies cannot be satisfied together: ",
    ),
    "no channel": ("[python]", {"channels": ["/nonexistent"]}, "channel file:///nonexistent cannot be read: "),
    "no network": (
        "[python]",
        {"channels": ["http://127.0.0.1:9/chan"]},
        "channel http://127.0.0.1:9/chan cannot be read: ",
    ),
}


#: An environment is made in a run of its own, with a cache that stays.
CASES = [*((problem, True) for problem in PROBLEMS), ("an unknown name", False), ("no network", False)]


@pytest.mark.parametrize(("problem", "check"), CASES)
@pytest.mark.parametrize("backend", backends.TESTED)
def test_problems_have_one_sentence_whatever_solves(
    problem: str, backend: str, check: bool, channel: str, tmp_path: Path
) -> None:
    dependencies, options, sentence = PROBLEMS[problem]
    (tmp_path / "environment.yml").write_text(f"name: demo\nchannels: [{channel}]\ndependencies: {dependencies}\n")
    (tmp_path / ".condarc").write_text("remote_max_retries: 0\n")
    result = backends.module(
        "env", {"spec": "environment.yml", **backends.options(backend), **options}, tmp_path, check
    )
    assert result["msg"].startswith(sentence) and "\n" not in result["msg"], result["msg"]
    if problem == "hosts too old":
        assert "(assumed of the hosts, see virtual_packages: __glibc 2.5)" in result["msg"]
    assert not os.path.exists(tmp_path / ".cache/airgap-conda/build/demo-linux-64")
