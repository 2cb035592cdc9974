# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Preflight: whether a host can take a bundle. Pure; every finding is one sentence, and all are told at once."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Needs
from ansible_collections.airgap.conda.plugins.module_utils._model.versions import numbers

#: Left free on the host beside what the deployment takes, in bytes.
RESERVE = 64 * 1024 * 1024


class HostFacts(t.NamedTuple):
    """What a host offers."""

    #: conda's name, such as linux-64.
    platform: str
    #: Version, or empty where the C library is another.
    glibc: str
    #: Version the driver supports, or empty.
    cuda: str


class Place(t.NamedTuple):
    """The file system and directory in which an environment would live."""

    #: Nearest directory that exists.
    directory: str
    free_bytes: int
    #: None where the file system does not count them.
    free_inodes: t.Optional[int]
    noexec: bool
    read_only: bool
    writable: bool


def preflight(needs: Needs, payload: int, prefix: str, host: HostFacts, place: Place) -> list[str]:
    """Return all that keeps the host from taking a bundle with *needs* and *payload* bytes still to be sent."""
    return [
        *_fitness(needs, host),
        *room(needs, payload, place),
        *_rights(place),
        *_length(needs, prefix),
        *_spelling(needs, prefix),
    ]


def check_room(entries: t.Sequence[Entry], needs: Needs) -> None:
    """Raise C(BundleError) where *entries* would take more of a host than the *needs* that it was asked about."""
    size = sum(entry.size for entry in entries)
    if size > needs.size or len(entries) > needs.inodes:
        raise BundleError(
            f"the file list asks for {len(entries)} inodes and {size} bytes, the manifest for {needs.inodes} and"
            f" {needs.size}; it is refused"
        )


def shortage(size: int, place: Place) -> str | None:
    """Return what keeps *place* from taking *size* bytes that no other generation gives, or None."""
    if place.free_bytes >= size:
        return None
    return f"{place.directory} has {place.free_bytes / 1e6:.0f} MB free, what changed needs {size / 1e6:.0f} MB"


def room(needs: Needs, payload: int, place: Place) -> list[str]:
    """Return why *place* cannot take what *needs* and *payload* bytes still to be sent."""
    return [*_bytes(needs, payload, place), *_inodes(needs, place)]


def _fitness(needs: Needs, host: HostFacts) -> t.Iterator[str]:
    if needs.platform not in ("noarch", host.platform):
        yield f"the bundle is for {needs.platform}, this host is {host.platform}; build it with env_build_platform"
    if needs.glibc and not host.glibc:
        yield f"the bundle needs glibc {needs.glibc}, this host has another C library"
    elif needs.glibc and numbers(needs.glibc) > numbers(host.glibc):
        yield (
            f"the bundle needs glibc {needs.glibc}, this host has {host.glibc};"
            " build it with env_build_virtual_packages for the oldest host"
        )
    if needs.cuda and numbers(needs.cuda) > numbers(host.cuda):
        yield f"the bundle needs CUDA {needs.cuda}, the driver here supports {host.cuda or 'none'}"


def _bytes(needs: Needs, payload: int, place: Place) -> t.Iterator[str]:
    bytes_needed = needs.size + payload + RESERVE
    if place.free_bytes < bytes_needed:
        yield (
            f"{place.directory} has {place.free_bytes / 1e6:.0f} MB free,"
            f" the deployment needs {bytes_needed / 1e6:.0f} MB"
            f" (environment {needs.size / 1e6:.0f}, archive {payload / 1e6:.0f}, reserve {RESERVE / 1e6:.0f})"
        )


def _inodes(needs: Needs, place: Place) -> t.Iterator[str]:
    if place.free_inodes is not None and place.free_inodes < needs.inodes:
        yield f"{place.directory} has {place.free_inodes} free inodes, the deployment needs {needs.inodes}"


def _rights(place: Place) -> t.Iterator[str]:
    if place.read_only:
        yield f"{place.directory} lies on a file system mounted read-only"
    elif not place.writable:
        yield f"this user may not write to {place.directory}; use become, or an env_deploy_envs_dir of the user's own"
    if place.noexec:
        yield f"{place.directory} lies on a file system mounted noexec; choose another env_deploy_envs_dir"


def _length(needs: Needs, prefix: str) -> t.Iterator[str]:
    length = len(prefix.encode("utf-8", "surrogateescape"))
    if needs.prefix and prefix != needs.prefix:
        yield (
            f"the archive was packed for {needs.prefix} only, here the prefix is {prefix};"
            " pack it without --dest-prefix, or set env_deploy_envs_dir and env_deploy_name to that path"
        )
    elif length > needs.prefix_max:
        yield (
            f"the prefix {prefix} has {length} bytes, {needs.narrowest or 'a path'} can carry {needs.prefix_max}"
            " at most; choose a shorter env_deploy_envs_dir"
        )


def _spelling(needs: Needs, prefix: str) -> t.Iterator[str]:
    """Yield what breaks a prefix: on the PATH, and in programs that quote it."""
    lists = [character for character in prefix if character < " " or character in ":\x7f"]
    texts = [character for character in prefix if character in "\"'\\$`" or "\udc80" <= character <= "\udcff"]
    reason = "the PATH of an activated environment" if lists else needs.quoting if texts else ""
    if reason:
        odd = (lists or texts)[0]
        yield f"the prefix {prefix!r} has {odd!r}, which {reason} cannot carry; choose another env_deploy_envs_dir"
