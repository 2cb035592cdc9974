# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Findings: how a host differs from what was deployed or is asked for, each of one kind. Kinds are data. Pure."""

from __future__ import annotations

import fnmatch
import re
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    DIRECTORY,
    FILE,
    LINK,
    parents,
    source_of_bytecode,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Damage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item


class Kind(t.NamedTuple):
    """What may differ."""

    name: str
    #: What a sentence says of it: of files after their number or path.
    words: str
    #: The worst has the most.
    weight: int
    #: Whether a sentence names each path, as every one is to be looked at.
    named: bool = False


def _by_name(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


#: Of whole environments.
ENVIRONMENT_KINDS = _by_name(
    Kind("environment-absent", "is not there", 90),
    Kind("unknown-origin", "was not deployed by airgap.conda", 85),
    Kind("interrupted", "was being deployed when that was interrupted", 70),
    Kind("wrong-generation", "is of another bundle than the inventory asks for", 60),
    Kind("not-removed", "is there though the inventory wants it absent", 55),
    Kind("other-settings", "has another owner or bytecode than the inventory asks for", 25),
    Kind("registration-missing", "is not registered", 40),
    Kind("registration-altered", "is registered otherwise", 40),
    Kind("registration-surplus", "is registered for more than the inventory asks for", 20),
)
#: Of what is below a prefix.
FILE_KINDS = _by_name(
    Kind("set-uid", "set-uid or set-gid", 100, named=True),
    Kind("start-code", "code that runs at start", 95, named=True),
    Kind("world-writable", "writable for everybody", 80, named=True),
    Kind("placeholder", "with a placeholder instead of the prefix", 75, named=True),
    Kind("foreign-prefix", "with the prefix of another environment", 72, named=True),
    Kind("conda-meta-edited", "edited", 65, named=True),
    Kind("missing", "missing", 62),
    Kind("type-changed", "of another type", 58, named=True),
    Kind("modified", "modified", 50),
    Kind("link-retargeted", "pointing elsewhere", 45),
    Kind("owner-changed", "of another owner", 35),
    Kind("mode-changed", "with another mode", 30),
    Kind("unexpected", "unexpected", 28),
)
#: Listed apart: as they should be, though not as they were.
BENIGN_KINDS = _by_name(
    Kind("bytecode", "caches of unchanged sources", 0),
    Kind("touched", "touched", 0),
    Kind("empty-folder", "empty folders", 0),
)
#: What nobody can say is clean.
UNREADABLE = "unreadable"

KINDS = {
    **ENVIRONMENT_KINDS,
    **FILE_KINDS,
    **BENIGN_KINDS,
    UNREADABLE: Kind(UNREADABLE, "could not be read", 10),
}

#: How a path differs, whatever it is that differs.
MISSING, MODIFIED, UNEXPECTED = "missing", "modified", "unexpected"

_START_CODE = re.compile(
    r".*\.pth|(.*/)?(sitecustomize|usercustomize)(\.py|\.cpython-\d+(\.opt-\d)?\.pyc|/.*)|etc/conda/(de)?activate\.d/.+"
)
_SET_ID = stat.S_ISUID | stat.S_ISGID


class Finding(t.NamedTuple):
    """One difference."""

    #: Name of one of M(KINDS).
    kind: str
    #: Below the prefix; of registration, absolute; empty where it is the environment.
    path: str = ""
    #: MISSING, MODIFIED or UNEXPECTED; empty where nothing has to be put right, or would be lost.
    change: str = ""
    #: What was, and what is. Never what a file holds.
    detail: str = ""

    @property
    def benign(self) -> bool:
        """Whether it is listed apart."""
        return self.kind in BENIGN_KINDS


def printable(text: str) -> str:
    """Return *text*, which users of a host may have chosen, without what steers terminals or has no characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


class Seen(t.NamedTuple):
    """What is at a path, as far as it could be read."""

    #: 'file', 'link', 'dir' or, of anything else, 'other'.
    type: str
    mode: int
    uid: int
    gid: int
    #: Whether bytes or target are those of the receipt; None where they could not be read.
    same: t.Optional[bool] = True
    #: 'placeholder' or 'foreign-prefix', of changed files that hold such.
    taint: str = ""
    #: Whether it is as the receipt says, though its times or inode are not as when last seen.
    touched: bool = False


def type_of(mode: int) -> str:
    """Return the type of what has the st_mode *mode*."""
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISLNK(mode):
        return LINK
    return DIRECTORY if stat.S_ISDIR(mode) else "other"


def of_missing(item: Item) -> Finding:
    """Return the finding of a recorded path with nothing there."""
    return Finding("missing", item.path, MISSING)


def of_recorded(item: Item, seen: Seen) -> t.Iterator[Finding]:
    """Yield how what was *seen* differs from its record, each aspect by itself."""
    if seen.type != item.type:
        yield Finding("type-changed", item.path, MODIFIED, f"{item.type} → {seen.type}")
        return
    if seen.same is None:
        yield Finding(UNREADABLE, item.path, MODIFIED)
    elif not seen.same:
        yield Finding(_kind_of_content(item.path, item.type, seen.taint), item.path, MODIFIED)
    if item.type != LINK and seen.mode != item.mode:
        yield Finding(_kind_of_mode(item.mode, seen.mode), item.path, MODIFIED, f"{item.mode:04o} → {seen.mode:04o}")
    if (seen.uid, seen.gid) != (item.uid, item.gid):
        yield Finding("owner-changed", item.path, MODIFIED, f"{item.uid}:{item.gid} → {seen.uid}:{seen.gid}")
    if seen.touched and seen.same:
        yield Finding("touched", item.path)


def _kind_of_content(path: str, kind: str, taint: str) -> str:
    if kind == LINK:
        return "link-retargeted"
    if taint:
        return taint
    if path.startswith("conda-meta/"):
        return "conda-meta-edited"
    return "start-code" if _START_CODE.fullmatch(path) else "modified"


def _kind_of_mode(before: int, now: int) -> str:
    gained = now & ~before
    if gained & _SET_ID:
        return "set-uid"
    return "world-writable" if gained & stat.S_IWOTH else "mode-changed"


def of_unexpected(found: t.Mapping[str, Seen], changed: t.Container[str], kept: t.Container[str]) -> list[Finding]:
    """Return the findings of all that no record has; *found* by path.

    *changed*: recorded paths whose bytes are not those recorded. *kept*: recorded paths that are there.
    """
    filled = {parent for path, seen in found.items() if seen.type != DIRECTORY for parent in parents(path)}
    findings: list[Finding] = []
    for path, seen in found.items():
        if seen.type == DIRECTORY:
            if path not in filled:
                findings.append(Finding("empty-folder", path))
        else:
            findings.append(_of_unexpected_file(path, seen, changed, kept))
        findings += _of_unexpected_mode(path, seen)
    return findings


def _of_unexpected_file(path: str, seen: Seen, changed: t.Container[str], kept: t.Container[str]) -> Finding:
    source = source_of_bytecode(path)
    if source is not None and seen.type == FILE and source in kept and source not in changed:
        return Finding("bytecode", path)
    # Nothing is lost with bytecode, whose it may be.
    change = UNEXPECTED if source is None else ""
    if _START_CODE.fullmatch(path):
        return Finding("start-code", path, change)
    if seen.taint:
        return Finding(seen.taint, path, change)
    if path.startswith("conda-meta/") and not path.endswith(".json"):
        return Finding("conda-meta-edited", path, change)
    return Finding("unexpected", path, change)


def _of_unexpected_mode(path: str, seen: Seen) -> t.Iterator[Finding]:
    if seen.type == FILE and seen.mode & _SET_ID:
        yield Finding("set-uid", path, detail=f"{seen.mode:04o}")
    elif seen.type != LINK and seen.mode & stat.S_IWOTH and not seen.mode & stat.S_ISVTX:
        yield Finding("world-writable", path, detail=f"{seen.mode:04o}")


def damage_of(findings: t.Iterable[Finding]) -> Damage:
    """Return what of *findings* a rollout puts right, or tells."""
    paths: dict[str, dict[str, None]] = {MISSING: {}, MODIFIED: {}, UNEXPECTED: {}}
    for finding in findings:
        if finding.change:
            paths[finding.change][finding.path] = None
    return Damage(*(tuple(paths[change]) for change in (MISSING, MODIFIED, UNEXPECTED)))


class Sorted(t.NamedTuple):
    """Findings by what is to be done with them."""

    drift: t.Tuple[Finding, ...]
    #: Benign, or ignored.
    benign: t.Tuple[Finding, ...]
    unchecked: t.Tuple[Finding, ...]


def sort_out(findings: t.Iterable[Finding], ignore: t.Iterable[str] = ()) -> Sorted:
    """Sort *findings*, the worst first; *ignore*: patterns of paths that are no drift."""
    pattern = ignoring(ignore)
    drift, benign, unchecked = [], [], []
    for finding in sorted(
        _without_implied(findings), key=lambda each: (-KINDS[each.kind].weight, each.path, each.kind)
    ):
        if finding.benign or (finding.path and pattern.match(finding.path)):
            benign.append(finding)
        elif finding.kind == UNREADABLE:
            unchecked.append(finding)
        else:
            drift.append(finding)
    return Sorted(tuple(drift), tuple(benign), tuple(unchecked))


def _without_implied(findings: t.Iterable[Finding]) -> t.Iterator[Finding]:
    """Yield *findings* without directories that are missing together with what was in them."""
    listed = list(findings)
    gone = {parent for finding in listed if finding.kind == MISSING for parent in parents(finding.path)}
    return (finding for finding in listed if finding.kind != MISSING or finding.path not in gone)


def ignoring(patterns: t.Iterable[str]) -> t.Pattern[str]:
    """Return what matches paths that *patterns* name, and what is below them; an asterisk takes slashes in."""
    plain = [pattern.rstrip("/") for pattern in patterns]
    return re.compile("|".join(fnmatch.translate(each) for path in plain for each in (path, f"{path}/*")) or "(?!)")


#: What is said of an environment or a host.
CLEAN, DRIFT, UNCHECKED = "clean", "drift", "unchecked"


def status_of(drift: bool, unchecked: bool) -> str:
    """Return the one word for both; what could not be checked may hold more, so drift that was found comes first."""
    if drift:
        return DRIFT
    return UNCHECKED if unchecked else CLEAN
