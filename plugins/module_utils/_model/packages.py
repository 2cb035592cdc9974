# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The packages of an environment as data, and how two lists of them differ."""

from __future__ import annotations

import dataclasses
import typing as t

CONDA = "conda"
PIP = "pip"

#: What identifies a package within one environment: who manages it, and its name.
Key = t.Tuple[str, str]


@dataclasses.dataclass(frozen=True, order=True)
class Package:
    """One installed package; *build* and *channel* are empty for pip's."""

    name: str
    version: str
    build: str = ""
    channel: str = ""
    manager: str = CONDA
    licence: str = ""

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> Package:
        """Read what M(to_json) wrote; keys of newer versions are ignored, missing ones take their default."""
        found = {field.name: data[field.name] for field in dataclasses.fields(cls) if field.name in data}
        if not all(isinstance(value, str) for value in found.values()):
            raise TypeError(f"{found!r} is no package")
        return cls(**found)

    def to_json(self) -> dict[str, str]:
        return dataclasses.asdict(self)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that it is told by."""
        return dataclasses.astuple(self)

    @property
    def key(self) -> Key:
        return (self.manager, self.name)

    @property
    def line(self) -> str:
        """One line for lists and diffs: C(numpy 1.23.5 py311h_0), C(attrs 23.1.0 (pip))."""
        if self.manager == PIP:
            return f"{self.name} {self.version} (pip)"
        return f"{self.name} {self.version} {self.build}".rstrip()


@dataclasses.dataclass(frozen=True)
class PackageDiff:
    """Two package lists as texts for Ansible's C(--diff), and as sentences; no actions means no difference."""

    before: str
    after: str
    actions: tuple[str, ...]

    def to_json(self) -> dict[str, str]:
        """What Ansible expects under C(diff)."""
        return {"before": self.before, "after": self.after}


def listing(packages: t.Iterable[Package]) -> str:
    """One line a package, sorted, with a final line break; empty for no packages."""
    return "".join(f"{package.line}\n" for package in sorted(packages))


def package_diff(before: t.Iterable[Package], after: t.Iterable[Package]) -> PackageDiff:
    """Compare two lists; the order of either does not matter, and two packages of one key count as the last."""
    old = {package.key: package for package in before}
    new = {package.key: package for package in after}
    keys = sorted({*old, *new}, key=lambda key: (key[1], key[0]))
    sentences = (_sentence(old.get(key), new.get(key)) for key in keys)
    return PackageDiff(listing(old.values()), listing(new.values()), tuple(text for text in sentences if text))


def _sentence(old: Package | None, new: Package | None) -> str:
    """What happens to one package, or nothing where it stays."""
    if old is None:
        return f"+ {new.line}" if new else ""
    if new is None:
        return f"- {old.line}"
    if old.version != new.version:
        return f"{_called(new)} {old.version} → {new.version}"
    if old.build != new.build:
        return f"{_called(new)} {new.version} {old.build} → {new.build}"
    return ""


def _called(package: Package) -> str:
    return f"{package.name} (pip)" if package.manager == PIP else package.name
