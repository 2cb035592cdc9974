# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_command
from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import artifact
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

FORGE = "https://conda.anaconda.org/conda-forge"
SECRET = "https://ann:pw-s3cret$x@mirror.example.com/t/tk-s3cret/team/lab"


def asked(*channels: str, **fields: t.Any) -> Question:
    given: dict[str, t.Any] = {
        "dependencies": ("python=3.11", "numpy[version='>=1.23']"),
        "artifacts": (),
        "explicit": False,
        "channels": channels or (FORGE,),
        "platform": "linux-64",
        "builder": "linux-64",
        "virtual_packages": (),
        **fields,
    }
    return Question(**given)


COMMON = "create --yes --quiet --json --prefix /p --no-pin"
CHANNELS = f"--strict-channel-priority --override-channels --channel {FORGE}"
SPECS = "python=3.11 numpy[version='>=1.23']"


# Those of mamba and micromamba are as the sources of 2.8 take them: neither could be had for the tests.
@pytest.mark.parametrize(
    ("kind", "dry", "command"),
    [
        ("conda", False, f"{COMMON} --no-default-packages --repodata-fn repodata.json {CHANNELS} {SPECS}"),
        ("conda", True, f"{COMMON} --dry-run --no-default-packages --repodata-fn repodata.json {CHANNELS} {SPECS}"),
        ("mamba", False, f"{COMMON} {CHANNELS} {SPECS}"),
        ("micromamba", True, f"{COMMON} --dry-run {CHANNELS} {SPECS}"),
    ],
)
def test_words(kind: str, dry: bool, command: str) -> None:
    assert " ".join(conda_command.words(kind, "/bin/exe", asked(), "/p", dry=dry)) == f"/bin/exe {command}"


@pytest.mark.parametrize("kind", conda_command.KINDS)
def test_credentials_are_in_the_condarc_and_not_in_the_words(kind: str) -> None:
    question = asked(SECRET, FORGE, dependencies=(f"{SECRET}::six", "pip"))
    command = conda_command.words(kind, "/bin/exe", question, "/p", dry=False)
    assert command[-6:] == ["--channel", "team/lab", "--channel", FORGE, "team/lab::six", "pip"]
    assert not any("s3cret" in word for word in command)
    written = json.loads(conda_command.condarc_text({"custom_channels": {"other": "https://h"}}, question))
    # The dollar would be replaced by conda.
    assert written["custom_channels"] == {
        "other": "https://h",
        "team/lab": "https://ann:pw-s3cret%24x@mirror.example.com/t/tk-s3cret",
    }


def test_two_channels_with_credentials_and_one_name_are_refused() -> None:
    question = asked("https://a:b@one.example.com/team", "https://c:d@other.example.com/team")
    with pytest.raises(BuildError, match="two channels with credentials are called team"):
        conda_command.condarc_text({}, question)


def test_the_condarc_of_a_run_is_the_users_with_ours_on_top() -> None:
    settings = {"solver": "classic", "channel_priority": "flexible", "ssl_verify": "/ca.pem"}
    written = json.loads(conda_command.condarc_text(settings, asked()))
    assert (written["solver"], written["ssl_verify"]) == ("classic", "/ca.pem")
    assert conda_command.SETTINGS.items() <= written.items()


def test_variables_lead_nowhere_else() -> None:
    inherited = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://p:1",
        "CONDARC": "/mine",
        "MAMBARC": "/mine",
        "CONDA_CHANNEL_PRIORITY": "flexible",
        "MAMBA_ALWAYS_SOFTLINK": "1",
        "PYTHONPATH": "/x",
    }
    packages = (
        VirtualPackage("__glibc", "2.31"),
        VirtualPackage("__cuda", ""),
        VirtualPackage("__archspec", "1", "x86_64_v3"),
    )
    found = conda_command.variables(inherited, asked(virtual_packages=packages), "/run/condarc", "/pkgs")
    assert found == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://p:1",
        "CONDARC": "/run/condarc",
        "CONDA_PKGS_DIRS": "/pkgs",
        "CONDA_SUBDIR": "linux-64",
        "CONDA_OVERRIDE_GLIBC": "2.31",
        "CONDA_OVERRIDE_CUDA": "",
        "CONDA_OVERRIDE_ARCHSPEC": "x86_64_v3",
    }


def test_what_these_programs_cannot_be_told_is_refused() -> None:
    question = asked(virtual_packages=(VirtualPackage("__rocm", "6"),))
    with pytest.raises(BuildError, match="virtual package __rocm: the backend can be told only of"):
        conda_command.variables({}, question, "/c", "/p")
    with pytest.raises(BuildError, match="conda cannot install for linux-aarch64 on linux-64"):
        conda_command.refuse_others(asked(platform="linux-aarch64"), "conda")
    with pytest.raises(BuildError, match="mamba would take a package by file or address only without others: six==1=0"):
        conda_command.refuse_others(asked(artifacts=(artifact("/p/six-1-0.conda", "/"),)), "mamba")
