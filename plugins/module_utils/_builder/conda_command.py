# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What an executable that speaks conda's command line is told: words, variables and a condarc of its own.

Addresses with credentials are in the condarc only, as everybody may read the words of a process.
"""

from __future__ import annotations

import json
import re
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._builder import condarc
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import (
    credentials,
    without_credentials,
)

CONDA, MAMBA, MICROMAMBA = KINDS = ("conda", "mamba", "micromamba")

#: What users may have configured otherwise, and what would give another solution, another tree or an entry elsewhere.
SETTINGS: t.Mapping[str, t.Any] = {
    "add_pip_as_python_dependency": False,
    "allow_softlinks": False,
    "always_softlink": False,
    "auto_update_conda": False,
    "channel_priority": "strict",
    "download_only": False,
    "dry_run": False,
    "notify_outdated_conda": False,
    "number_channel_notices": 0,
    "override_channels_enabled": True,
    "register_envs": False,
    "report_errors": False,
}
_INSTEAD = "set backend to rattler"
#: Virtual packages that these programs can be told of.
_OVERRIDES = ("__glibc", "__cuda", "__linux", "__osx", "__archspec")
_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "CONDARC", "MAMBARC", "CONDA_CHANNELS", "CONDA_PREFIX")


def words(kind: str, executable: str, question: Question, prefix: str, *, dry: bool) -> list[str]:
    """Return the command that makes *prefix*, or with *dry* says what would be in it."""
    command = [executable, "create", "--yes", "--quiet", "--json", "--prefix", prefix, "--no-pin"]
    command += ["--dry-run"] if dry else []
    # Only conda knows these two, and only conda needs them.
    command += ["--no-default-packages", "--repodata-fn", "repodata.json"] if kind == CONDA else []
    command += ["--strict-channel-priority", "--override-channels"]
    for url in question.channels:
        command += ["--channel", _spoken(url)]
    return [*command, *map(_spoken_spec, question.dependencies)]


def _spoken(url: str) -> str:
    """Return what a channel is called in words: its address, or the name under which the condarc has it."""
    return _named(url)[0] if credentials(url) else url


def _spoken_spec(dependency: str) -> str:
    channel, separator, rest = dependency.partition("::")
    return f"{_spoken(channel)}::{rest}" if separator else dependency


def _named(url: str) -> tuple[str, str]:
    """Split the address of a channel into its name and what is before that, credentials and all."""
    parts = urllib.parse.urlsplit(url)
    name = urllib.parse.urlsplit(without_credentials(url)).path.strip("/")
    token = re.match(r"/t/[^/]+", parts.path)
    # conda replaces $NAME in a condarc.
    base = f"{parts.scheme}://{parts.netloc.replace('$', '%24')}{token[0] if token else ''}"
    return name, base


def condarc_text(settings: condarc.Settings, question: Question) -> str:
    """Return the condarc of this run, for some programs read no other: the user's *settings* and ours."""
    secret = [_named(url) for url in question.channels if credentials(url)]
    bases = dict(secret)
    for name, base in secret:
        if not name or bases[name] != base:
            raise BuildError(
                f"two channels with credentials are called {name}; give one of them without, and its login in .netrc"
            )
    custom = {**(settings.get("custom_channels") or {}), **bases}
    # JSON is YAML.
    return json.dumps({**settings, **SETTINGS, "custom_channels": custom}, default=str, indent=1)


def variables(inherited: t.Mapping[str, str], question: Question, condarc_path: str, packages: str) -> dict[str, str]:
    """Return the environment of the program: the user's, with *packages* as the cache to use."""
    ours = {f"{program}_{name.upper()}" for name in SETTINGS for program in ("CONDA", "MAMBA")}
    kept = {name: value for name, value in inherited.items() if name not in ours and name not in _MISLEADING}
    kept.update(CONDARC=condarc_path, CONDA_PKGS_DIRS=packages, CONDA_SUBDIR=question.platform)
    for package in question.virtual_packages:
        if package.name not in _OVERRIDES:
            known = ", ".join(_OVERRIDES)
            raise BuildError(f"virtual package {package.name}: the backend can be told only of {known}; {_INSTEAD}")
        value = package.build if package.name == "__archspec" and package.version else package.version
        kept[f"CONDA_OVERRIDE_{package.name.strip('_').upper()}"] = value
    return kept


def refuse_others(question: Question, kind: str) -> None:
    """Raise C(BuildError) for what these programs would do otherwise than asked.

    For another platform than the builder's they run link scripts all the same; packages by file or address they take
    only without others, and then they solve nothing.
    """
    if question.artifacts:
        named = question.artifacts[0].spec
        raise BuildError(f"{kind} would take a package by file or address only without others: {named}; {_INSTEAD}")
    if question.is_foreign:
        raise BuildError(f"{kind} cannot install for {question.platform} on {question.builder}; {_INSTEAD}")
