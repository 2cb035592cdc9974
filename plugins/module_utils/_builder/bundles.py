# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Bundles on the builder's side: what was packed before, and packing beside the place a bundle will have."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.handpacked import VERSION, derive
from ansible_collections.airgap.conda.plugins.module_utils._builder.installed import installed_packages
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import Leak, LeakRules, Trace, judged
from ansible_collections.airgap.conda.plugins.module_utils._builder.needs import platform_of
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import Packing
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    is_intact,
    place,
    point_at,
    read_manifest,
    replace,
    reports,
    write_report,
    write_text,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import Rules, check_licenses
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    FORMAT,
    MANIFEST_NAME,
    NAME,
    Manifest,
    render_manifest,
)


class Policy(t.NamedTuple):
    """What may be in a bundle."""

    licenses: Rules = Rules()
    leaks: LeakRules = LeakRules()


ANYTHING_SOUND = Policy()


class Bundled(t.NamedTuple):
    """What M(make_bundle) did, or in check mode would do."""

    changed: bool
    #: Absent in check mode when it would have to be packed.
    manifest: t.Optional[Manifest]
    directory: str = ""
    #: What names the builder and is packed all the same.
    leaks: tuple[Leak, ...] = ()
    #: What people should know of an archive packed by hand.
    warnings: tuple[str, ...] = ()


class Target(t.NamedTuple):
    """What is packed, as what, and into which directory."""

    #: An environment, or an archive packed by hand of one.
    source: str
    name: str
    #: Used when every package is for any platform.
    platform: str
    dist: str

    def directory(self, label: str) -> str:
        """Return where the bundle *label* lies."""
        return os.path.join(self.dist, label)


def plan_bundle(target: Target, progress: Progress, policy: Policy = ANYTHING_SOUND) -> Bundled:
    """Return what M(make_bundle) would do, writing nothing; an environment still to be made would be packed."""
    check_name(target.name)
    if not os.path.exists(target.source):
        return Bundled(True, None)
    refuse_licenses(target, policy.licenses)
    known = packed_before(target, policy.leaks)
    if known and known.manifest:
        check_licenses(known.manifest.packages, policy.licenses)
        return known._replace(changed=not reports(known.directory, known.manifest))
    if os.path.isfile(target.source):
        return Bundled(True, None)
    packing = Packing(target.source, progress, policy.leaks)
    platform = platform_of(packing.records, target.platform)
    label = f"{target.name}-{platform}-{packing.content_id()[:12]}"
    directory = target.directory(label)
    if is_intact(directory, label):
        manifest = read_manifest(directory)
        return Bundled(not reports(directory, manifest), manifest, directory, judged(packing.leaks, policy.leaks))
    return Bundled(True, None, directory, judged(packing.leaks, policy.leaks))


def make_bundle(target: Target, spec_sha256: str, progress: Progress, policy: Policy = ANYTHING_SOUND) -> Bundled:
    """Pack the environment into C(<dist>/<label>) unless that very environment lies there already."""
    check_name(target.name)
    if not os.path.exists(target.source):
        raise PackError(f"{target.source} is not there; name the prefix of an environment, or an archive of one")
    refuse_licenses(target, policy.licenses)
    known = packed_before(target, policy.leaks)
    if known and known.manifest:
        check_licenses(known.manifest.packages, policy.licenses)
        reported = write_report(known.directory, known.manifest)
        return known._replace(changed=point_at(target.dist, known.manifest) or reported)
    os.makedirs(target.dist, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=target.dist) as directory:
        # Before packing: what changes meanwhile is packed again by the next run.
        fingerprint = fingerprint_of(target.source)
        packed = _pack(target, directory, progress, policy)
        manifest = packed.manifest._replace(
            created=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            spec_sha256=spec_sha256,
        )
        with open(os.path.join(directory, MANIFEST_NAME), "xb") as file:
            file.write(render_manifest(manifest))
        placed = place(directory, target.directory(manifest.label))
    # Of the manifest that is there: an older collection may have placed it without a report.
    manifest = read_manifest(target.directory(manifest.label))
    placed = write_report(target.directory(manifest.label), manifest) or placed
    pointed = point_at(target.dist, manifest)
    remember(target, fingerprint, manifest.label, packed.leaks)
    directory = target.directory(manifest.label)
    return Bundled(placed or pointed, manifest, directory, judged(packed.leaks, policy.leaks), packed.warnings)


class _Packed(t.NamedTuple):
    """Archive and file list that were just written."""

    manifest: Manifest
    leaks: tuple[Leak, ...] = ()
    warnings: tuple[str, ...] = ()


def _pack(target: Target, directory: str, progress: Progress, policy: Policy) -> _Packed:
    """Write archive and file list into *directory*."""
    if os.path.isfile(target.source):
        derived = derive(target.source, directory, target.name, target.platform, progress)
        check_licenses(derived.manifest.packages, policy.licenses)
        return _Packed(derived.manifest, (), derived.warnings)
    packing = Packing(target.source, progress, policy.leaks)
    manifest = packing.pack(directory, target.name, target.platform)
    return _Packed(manifest._replace(packages=installed_packages(target.source)), packing.leaks)


def check_name(name: str) -> None:
    """Raise C(PackError) unless *name* can name a bundle."""
    if not NAME.fullmatch(name):
        raise PackError(f"{name!r} cannot name an environment; use letters, digits and . _ + -")


def refuse_licenses(target: Target, rules: Rules) -> None:
    """Raise C(PackError) where a licence is not allowed, in what was packed before too: the rules may be new.

    Those of an archive are known when it has been read.
    """
    if rules != Rules() and not os.path.isfile(target.source):
        check_licenses(installed_packages(target.source), rules)


# --- what was packed before -----------------------------------------------------------------------------------------


def fingerprint_of(source: str) -> str:
    """Return what changes with anything in *source*, without reading a file."""
    if os.path.isfile(source):
        status = os.stat(source)
        return f"{VERSION} {status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    return hashlib.sha256(stat_index(source)).hexdigest()


def packed_before(target: Target, rules: LeakRules) -> Bundled | None:
    """Return the bundle that an earlier run made of the environment as it is now, or None.

    C(PackError) where what was packed then may not be under the *rules* of now.
    """
    try:
        with open(_memo_path(target), encoding="utf-8") as file:
            memo = json.load(file)
        directory = target.directory(memo["label"])
        if not is_intact(directory, memo["label"]):
            return None
        if memo["format"] != FORMAT or memo["fingerprint"] != fingerprint_of(target.source):
            return None
        leaks = [Leak(path, Trace(*trace)) for path, trace in memo["leaks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Bundled(False, read_manifest(directory), directory, judged(leaks, rules))


def remember(target: Target, fingerprint: str, label: str, leaks: t.Sequence[Leak]) -> None:
    """Note that the environment, as *fingerprint* says it was, is the bundle *label*, and what in it is *leaks*."""
    path = _memo_path(target)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    memo = json.dumps({"format": FORMAT, "fingerprint": fingerprint, "label": label, "leaks": leaks})
    replace(path, lambda temporary: write_text(temporary, memo))


def _memo_path(target: Target) -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parts = (os.path.abspath(target.source), target.name, os.path.abspath(target.dist))
    key = hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()
    return os.path.join(cache, "airgap-conda", "packed", key[:16] + ".json")
