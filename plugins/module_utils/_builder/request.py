# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""From the parameters of module C(env) to what is wanted; every refusal that needs no solve is here."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import condarc
from ansible_collections.airgap.conda.plugins.module_utils._builder.build import Wanted
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import Channels
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import (
    builder_platform,
    checked_platform,
    given_virtual_packages,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import (
    Spec,
    environment_name,
    package_name,
    parse_spec,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

#: Said where pip is installed though the spec does not name it; conda does the same.
IMPLICIT_PIP = "{spec}: has a pip section but no pip among its dependencies; pip is added"


class Request(t.NamedTuple):
    """What is wanted, and what the user should hear about the spec."""

    wanted: Wanted
    warnings: tuple[str, ...]


def request(
    parameters: t.Mapping[str, t.Any], backend: str = "rattler", settings: condarc.Settings = condarc.NOTHING
) -> Request:
    """Read the spec and the other parameters, *settings* of conda besides; raises C(SpecError)."""
    path: str = parameters["spec"]
    spec = parse_spec(parameters["content"], path)
    builder = builder_platform()
    platform = checked_platform(parameters["platform"] or builder)
    if spec.pip and platform != builder:
        raise SpecError(
            f"{path}: the pip section cannot be installed for {platform} on {builder}, because pip runs in the "
            f"environment; build on a {platform} machine, or take these from a channel"
        )
    implicit = ["pip"] if spec.pip and not spec.names_pip else []
    names = condarc.channels(settings)
    wanted = Wanted(
        name=environment_name(parameters["name"] or spec.name, path),
        platform=platform,
        builder=builder,
        channels=_channels(spec, parameters["channels"] or (), path, names, settings),
        dependencies=_once(path, [*spec.dependencies, *implicit]),
        requirements=spec.pip,
        pip_args=tuple(parameters["pip_args"] or ()),
        variables=spec.variables,
        virtual_packages=given_virtual_packages(parameters["virtual_packages"] or {}),
        directory=_directory(path),
        backend=backend,
        names=names,
    )
    refused = condarc.refused(settings, wanted.question.channels, wanted.directory)
    if refused:
        raise SpecError(f"{path}: {refused}")
    return Request(wanted, (*spec.warnings, *(IMPLICIT_PIP.format(spec=path) for _pip in implicit)))


def name_and_platform(parameters: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """Return what names a build environment; the spec is read only where the name is not given."""
    name, origin = parameters["name"], parameters["spec"] or "name"
    if not name and parameters["content"] is not None:
        name = parse_spec(parameters["content"], origin).name
    return environment_name(name, origin), checked_platform(parameters["platform"] or builder_platform())


def default_workdir(environ: t.Mapping[str, str]) -> str:
    """Return where build environments live unless told: in the user's cache."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "airgap-conda", "build")


def _channels(
    spec: Spec, given: t.Sequence[str], path: str, names: Channels, settings: condarc.Settings
) -> tuple[str, ...]:
    urls = names.urls(given or spec.channels or settings.get("channels") or (), _directory(path))
    if not urls and any("::" not in dependency for dependency in spec.dependencies):
        raise SpecError(f"{path}: names no channel; add `channels:` to the file or set the option channels")
    return urls


def _directory(path: str) -> str:
    """Return where relative paths of the spec start; the spec of a remote builder is not there."""
    directory = os.path.dirname(path)
    return directory if os.path.isdir(directory) else os.path.expanduser("~")


def _once(path: str, dependencies: list[str]) -> tuple[str, ...]:
    """Refuse what is no dependency at all; what is there twice counts once."""
    for dependency in dependencies:
        if not package_name(dependency):
            raise SpecError(f"{path}: {dependency!r} names no package")
    return tuple(dict.fromkeys(dependencies))
