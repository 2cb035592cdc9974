# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""From what is wanted to a build environment: predicted, or made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_meta, pip
from ansible_collections.airgap.conda.plugins.module_utils._builder.backends import Backend
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import PUBLIC, Channels
from ansible_collections.airgap.conda.plugins.module_utils._builder.disks import watched
from ansible_collections.airgap.conda.plugins.module_utils._builder.environments import (
    BuildEnvironment,
    State,
    fingerprint,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.installed import installed_packages
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage
from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import RequirementFile, requirements
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question, question
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package, package_diff
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Everything that decides what an environment is."""

    name: str
    platform: str
    builder: str
    channels: tuple[str, ...]
    dependencies: tuple[str, ...]
    #: Whether the dependencies are all there shall be.
    explicit: bool
    requirements: tuple[RequirementFile, ...]
    #: Digests of what the spec names by path.
    files: tuple[tuple[str, str], ...]
    pip_args: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    virtual_packages: tuple[VirtualPackage, ...]
    #: Where relative paths of the spec start.
    directory: str
    backend: str = "rattler"
    #: What names of channels mean to the user.
    names: Channels = PUBLIC

    @property
    def inputs(self) -> str:
        """Digest of the above; a new token for the same channel is no new input, nor is a name that nothing uses."""
        stated = {**dataclasses.asdict(dataclasses.replace(self, names=PUBLIC)), "requirements": self.pip_lines}
        stated["asked"] = self.question.dependencies
        canonical = json.dumps(stated, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(mask(canonical).encode()).hexdigest()

    @property
    def pip_lines(self) -> tuple[tuple[str, ...], ...]:
        """What the requirement files say, without where."""
        return tuple(tuple(f"{line.text} {line.includes}".strip() for line in file.lines) for file in self.requirements)

    @property
    def pip_requirements(self) -> tuple[str, ...]:
        """What pip shall install, as it may be kept."""
        return tuple(mask(line) for line in requirements(self.requirements))

    @property
    def question(self) -> Question:
        platforms = (self.platform, self.builder)
        where = (self.channels, self.directory)
        packages = self.virtual_packages
        return question(self.dependencies, *where, platforms, packages, explicit=self.explicit, names=self.names)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was done, or would be."""

    changed: bool
    prefix: str | None
    packages: tuple[Package, ...]
    actions: tuple[str, ...]
    before: tuple[Package, ...]

    def to_json(self) -> dict[str, t.Any]:
        return {
            "changed": self.changed,
            "prefix": self.prefix,
            "packages": [package.to_json() for package in self.packages],
            "actions": list(self.actions),
            "diff": package_diff(self.before, self.packages).to_json(),
        }


def predict(wanted: Wanted, environment: BuildEnvironment, backend: Backend, progress: Progress) -> Outcome:
    """Return what M(build) would do; writes nothing that stays."""
    state = environment.state()
    reason = _reason(wanted, state)
    if state and not reason:
        return _unchanged(state)
    packages = [Package.from_json(package) for package in backend.solve(wanted.question, progress)]
    return _changed(reason, state, [*packages, *_predicted_pip(wanted, state)], state.prefix if state else None)


def build(wanted: Wanted, environment: BuildEnvironment, backend: Backend, progress: Progress) -> Outcome:
    """Make the environment what is wanted, in a new prefix; do nothing where it is that already."""
    with environment.lock():
        state = environment.state()
        reason = _reason(wanted, state)
        if state and not reason:
            return _unchanged(state)
        workdir = os.path.dirname(environment.directory)
        with watched(workdir), environment.new_prefix() as prefix:
            packages = _install(wanted, backend, prefix, workdir, progress)
            found = fingerprint(prefix)
            state_now = State(wanted.inputs, prefix, tuple(sorted(packages)), wanted.pip_requirements, found)
            environment.adopt(state_now)
    return _changed(reason, state, packages, prefix)


def predict_removal(environment: BuildEnvironment) -> Outcome:
    """Return what M(remove) would do."""
    state = environment.state()
    before = state.packages if state else ()
    actions = (f"remove {environment.directory}",) if environment.exists else ()
    return Outcome(environment.exists, None, (), actions, before)


def remove(environment: BuildEnvironment) -> Outcome:
    """Delete the build environment, if there is one; the package cache stays."""
    outcome = predict_removal(environment)
    if outcome.changed:
        with environment.lock():
            environment.remove()
    return outcome


def _install(wanted: Wanted, backend: Backend, prefix: str, workdir: str, progress: Progress) -> tuple[Package, ...]:
    backend.build(wanted.question, prefix, workdir, progress)
    conda_meta.settle(prefix, wanted.dependencies, dict(wanted.variables))
    if wanted.pip_requirements:
        pip.install(prefix, wanted.requirements, wanted.pip_args, wanted.directory, progress)
    return installed_packages(prefix)


def _reason(wanted: Wanted, state: State | None) -> str | None:
    """Say why the environment has to be made; None where it stands."""
    if state is None:
        return "there is none yet"
    if state.inputs != wanted.inputs:
        return "its inputs changed"
    if state.fingerprint != fingerprint(state.prefix):
        return "something else changed it"
    return None


def _predicted_pip(wanted: Wanted, state: State | None) -> list[Package]:
    if state and state.requirements == wanted.pip_requirements:
        return [package for package in state.packages if package.manager == PIP]
    return pip.predicted(wanted.pip_requirements)


def _unchanged(state: State) -> Outcome:
    return Outcome(False, state.prefix, state.packages, (), state.packages)


def _changed(reason: str | None, state: State | None, packages: t.Sequence[Package], prefix: str | None) -> Outcome:
    before = state.packages if state else ()
    actions = (f"make the build environment: {reason}", *package_diff(before, packages).actions)
    return Outcome(True, prefix, tuple(sorted(packages)), actions, before)
