# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Explain: findings in sentences a person acts on, by package, the worst first. Pure."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    ENVIRONMENT_KINDS,
    KINDS,
    MISSING,
    UNEXPECTED,
    Finding,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import Claim, Ownership, canonical
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import CONDA, Package
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import NAMED


class Explanation(t.NamedTuple):
    """One sentence."""

    text: str
    #: What it is about; empty for the environment, and for files of no package.
    package: str
    #: How bad it is: that of its worst finding.
    weight: int


class Explained(t.NamedTuple):
    """Findings with the package of each, and what to say."""

    #: By finding, its package.
    packages: t.Dict[Finding, str]
    explanations: t.Tuple[Explanation, ...]


def explain(findings: t.Sequence[Finding], ownership: Ownership, deployed: t.Iterable[Package]) -> Explained:
    """Explain *findings* about a tree with *ownership*, to which the packages *deployed* were deployed."""
    packages = {
        finding: "" if finding.kind in ENVIRONMENT_KINDS else ownership.owner(finding.path) for finding in findings
    }
    groups: dict[str, list[Finding]] = collections.defaultdict(list)
    for finding, name in packages.items():
        groups[name].append(finding)
    before = {canonical(package.name): package.version for package in deployed}
    sentences = [
        Explanation(text, name, weight)
        for name, group in groups.items()
        for text, weight in (
            _of_package(_Package(name, before.get(name, ""), ownership.sizes.get(name, 0), group), ownership.claims)
            if name
            else _of_nobody(group)
        )
    ]
    return Explained(packages, tuple(sorted(sentences, key=lambda each: (-each.weight, each.package, each.text))))


class _Package(t.NamedTuple):
    name: str
    #: Version that was deployed, empty if none was.
    version: str
    #: How many files of it were deployed.
    size: int
    findings: t.List[Finding]


Sentences = t.Iterator[t.Tuple[str, int]]


def _of_package(package: _Package, claims: t.Sequence[Claim]) -> Sentences:
    changed = _of_version(package, claims)
    if changed:
        yield changed, _weight(package.findings)
    counted = [finding for finding in package.findings if not KINDS[finding.kind].named]
    if counted and not changed:
        yield f"{package.name}: {_counts(counted, package.size)}", _weight(counted)
    for kind, group in _by_kind(finding for finding in package.findings if KINDS[finding.kind].named).items():
        yield f"{package.name}, {_named(kind, group)}", KINDS[kind].weight


def _of_version(package: _Package, claims: t.Iterable[Claim]) -> str:
    """Return what happened to the package as a whole, empty if nothing."""
    files = _files(len({finding.path for finding in package.findings}))
    changes = {finding.path: finding.change for finding in package.findings}
    new = [claim for claim in claims if claim.name == package.name and _is(UNEXPECTED, claim, changes)]
    if new:
        claim = new[-1]
        how = f", installed by {claim.installer} on the host" if claim.installer else ""
        if not package.version:
            return f"unexpected package {package.name} {claim.version}{how} ({files})"
        if claim.version != package.version:
            return f"{package.name} {package.version} → {claim.version}{how} ({files})"
        return f"{package.name} {package.version} was installed again{how} ({files})"
    gone = package.version and package.size and sum(change == MISSING for change in changes.values()) >= package.size
    return f"{package.name} {package.version} is gone ({files})" if gone else ""


def _is(change: str, claim: Claim, changes: t.Mapping[str, str]) -> bool:
    """Whether the record of *claim* is a finding of that *change*."""
    record = claim.record if claim.manager == CONDA else f"{claim.record}/RECORD"
    return changes.get(record) == change


def _of_nobody(findings: t.Sequence[Finding]) -> Sentences:
    """Speak of the environment, and of files that belong to no package."""
    for kind, group in _by_kind(findings).items():
        if kind in ENVIRONMENT_KINDS:
            yield from ((finding.detail or KINDS[kind].words, KINDS[kind].weight) for finding in group)
        else:
            yield _named(kind, group), KINDS[kind].weight


def _counts(findings: t.Sequence[Finding], size: int) -> str:
    """Return such as 'C(1 of 812 files modified, 2 missing)'."""
    parts = [f"{len(group)} {{}} {KINDS[kind].words}" for kind, group in _by_kind(findings).items()]
    number = len(next(iter(_by_kind(findings).values())))
    noun = f"of {_files(size)}" if size else ("file" if number == 1 else "files")
    return ", ".join([parts[0].format(noun), *(part.format("").replace("  ", " ") for part in parts[1:])])


def _named(kind: str, findings: t.Sequence[Finding]) -> str:
    """Return such as 'C(set-uid or set-gid: bin/x (0755 → 4755))'."""
    each = [f"{finding.path} ({finding.detail})" if finding.detail else finding.path for finding in findings]
    more = f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    return f"{KINDS[kind].words}: {', '.join(each[:NAMED])}{more}"


def _by_kind(findings: t.Iterable[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = collections.defaultdict(list)
    for finding in findings:
        groups[finding.kind].append(finding)
    return dict(sorted(groups.items(), key=lambda group: -KINDS[group[0]].weight))


def _weight(findings: t.Iterable[Finding]) -> int:
    return max(KINDS[finding.kind].weight for finding in findings)


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"
