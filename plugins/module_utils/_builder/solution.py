# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What is asked of a solver, and what it answers: plain data that any backend can take and give."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import canonical
from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import (
    NO_CHANNEL,
    Artifact,
    artifact,
    is_artifact,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import (
    PUBLIC,
    Channels,
    channel_name,
    qualified,
    record_channel,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package


@dataclasses.dataclass(frozen=True)
class Question:
    """Which packages together, from which channels (addresses, strict priority), for which hosts."""

    dependencies: tuple[str, ...]
    #: Packages that are given, to be used for what they are.
    artifacts: tuple[Artifact, ...]
    #: Whether the artifacts are all there shall be, so that nothing is solved.
    explicit: bool
    channels: tuple[str, ...]
    platform: str
    builder: str
    virtual_packages: tuple[VirtualPackage, ...]

    @property
    def is_foreign(self) -> bool:
        """Whether nothing of the environment can run on the builder."""
        return self.platform != self.builder


def question(
    dependencies: t.Sequence[str],
    channels: t.Sequence[str],
    directory: str,
    platforms: tuple[str, str],
    virtual_packages: tuple[VirtualPackage, ...],
    *,
    explicit: bool = False,
    names: Channels = PUBLIC,
) -> Question:
    """Resolve paths, addresses and C(channel::name); a channel named only there is searched last, as conda does it.

    *platforms* are the hosts' and the builder's.
    """
    given = [dependency for dependency in dependencies if is_artifact(dependency)]
    specs = [
        qualified(dependency, channels, directory, names) for dependency in dependencies if dependency not in given
    ]
    extra = [spec.channel for spec in specs if spec.channel]
    return Question(
        dependencies=tuple(spec.text for spec in specs),
        artifacts=tuple(artifact(dependency, directory) for dependency in given),
        explicit=explicit,
        channels=tuple(dict.fromkeys([*channels, *extra])),
        platform=platforms[0],
        builder=platforms[1],
        virtual_packages=virtual_packages,
    )


def conda_package(record: t.Mapping[str, t.Any]) -> Package:
    """Read a package from conda's record of it (repodata or conda-meta)."""
    known = record_channel(record) or NO_CHANNEL
    return Package(
        name=record["name"],
        version=record["version"],
        build=record.get("build") or "",
        # A directory of the builder's is nobody else's business.
        channel="" if known == NO_CHANNEL else channel_name(canonical.channel(known)),
        licence=record.get("license") or "",
    )
