# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What the hosts are, for the solver: conda's name of the platform, and its virtual packages."""

from __future__ import annotations

import platform
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

_ARCHITECTURES = {
    "Linux": {
        "x86_64": "64",
        "aarch64": "aarch64",
        "ppc64le": "ppc64le",
        "s390x": "s390x",
        "armv7l": "armv7l",
        "riscv64": "riscv64",
        "i686": "32",
    },
    "Darwin": {"x86_64": "64", "arm64": "arm64"},
}
_SYSTEMS = {"Linux": "linux", "Darwin": "osx"}
_MICROARCHITECTURES = {"64": "x86_64", "32": "x86"}

#: Platforms that bundles can be for.
KNOWN = tuple(f"{_SYSTEMS[system]}-{name}" for system, names in _ARCHITECTURES.items() for name in names.values())
#: Platforms that packages can be for, and no bundle.
WINDOWS = ("win-64", "win-32", "win-arm64")


class VirtualPackage(t.NamedTuple):
    """A property of a machine that packages can ask for, such as C(__glibc 2.31 0)."""

    name: str
    version: str
    build: str = "0"


def builder_platform() -> str:
    """Return conda's name of this machine's platform, such as C(linux-64)."""
    return platform_name(platform.system(), platform.machine())


def platform_name(system: str, machine: str) -> str:
    """Return conda's name of a platform from C(uname)'s names."""
    if machine not in _ARCHITECTURES.get(system, {}):
        raise SpecError(f"no conda platform is known for this machine ({system} {machine}); name the hosts' platform")
    return f"{_SYSTEMS[system]}-{_ARCHITECTURES[system][machine]}"


def checked_platform(name: str) -> str:
    """Return *name* if conda has such a platform."""
    if name not in KNOWN:
        raise SpecError(f"{name!r} is no platform; these are: {', '.join(KNOWN)}")
    return name


def virtual_packages(
    target: str, builder: str, detected: t.Iterable[VirtualPackage], given: t.Iterable[VirtualPackage]
) -> list[VirtualPackage]:
    """Return what the solver may assume of the hosts: what is *given*, over what was *detected* on the builder.

    Nothing detected on another operating system counts; of another architecture its C(__archspec) does not.
    A given version that is empty takes a detected package away.
    """
    known = {package.name: package for package in detected if _applies(package, target, builder)}
    if target != builder:
        known.update(_implied(target))
    known.update((package.name, package) for package in given)
    return sorted(package for package in known.values() if package.version)


def given_virtual_packages(mapping: t.Mapping[str, t.Any]) -> tuple[VirtualPackage, ...]:
    """Read the user's mapping: names with or without C(__), values C(version) or C(version=build)."""
    return tuple(sorted(_given(str(key), value) for key, value in mapping.items()))


def _given(key: str, value: t.Any) -> VirtualPackage:
    name = f"__{key.lstrip('_')}"
    if isinstance(value, (float, bool)):
        # YAML has made 2.3 of 2.30, and nobody can tell any more.
        raise SpecError(f'virtual_packages.{key}: quote the version, as in {key}: "{value}"')
    version, _separator, build = str(value if value is not None else "").partition("=")
    if name == "__archspec" and version and not build and not version.isdigit():
        return VirtualPackage(name, "1", version)
    return VirtualPackage(name, version, build or "0")


def _applies(package: VirtualPackage, target: str, builder: str) -> bool:
    if target == builder:
        return True
    same_system = target.partition("-")[0] == builder.partition("-")[0]
    return same_system and package.name != "__archspec"


def _implied(target: str) -> dict[str, VirtualPackage]:
    """Return what every machine of the platform has."""
    system, _separator, architecture = target.partition("-")
    implied = [VirtualPackage(name, "0") for name in ("__unix", f"__{system}")]
    implied.append(VirtualPackage("__archspec", "1", _MICROARCHITECTURES.get(architecture, architecture)))
    return {package.name: package for package in implied}
