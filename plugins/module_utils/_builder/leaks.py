# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The closing check: what would be packed and names the builder is found while it goes by, and judged at the end."""

from __future__ import annotations

import fnmatch
import os
import pwd
import re
import socket
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.canonical import LOOKAHEAD, prefix_pattern
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import Entry

REFUSE, REPORT = "refuse", "report"
POLICIES = (REFUSE, REPORT)

#: A machine may be named with its domain.
_NAME_ENDS = rb"(?![A-Za-z0-9_-])"

#: Homes of services are directories that every machine has.
_NO_HOMES = ("/usr/", "/bin/", "/sbin/", "/dev/", "/proc/", "/run/")
#: As many are named in a message.
_NAMED = 3

Chunks = t.Iterable[bytes]


class Trace(t.NamedTuple):
    """Something by which the builder can be told."""

    what: str
    text: str
    #: Whether what names it does not work elsewhere, rather than only tells of the builder.
    breaks: bool = False


class Leak(t.NamedTuple):
    """A packed path whose bytes, name or target hold a trace."""

    path: str
    trace: Trace


class LeakRules(t.NamedTuple):
    """What happens to leaks; of paths that match a pattern of *exempt*, nothing."""

    policy: str = REFUSE
    exempt: tuple[str, ...] = ()


def parse_leak_rules(fields: t.Mapping[str, t.Any] | None) -> LeakRules:
    """Make rules of the parameters of a module."""
    given = fields or {}
    return LeakRules(given.get("policy") or REFUSE, tuple(given.get("exempt") or ()))


def is_exempt(path: str, rules: LeakRules) -> bool:
    """Whether *path* may name the builder."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in rules.exempt)


def judged(leaks: t.Iterable[Leak], rules: LeakRules) -> tuple[Leak, ...]:
    """Return the *leaks* that are only reported; C(PackError) for the others."""
    counted = [leak for leak in leaks if not is_exempt(leak.path, rules)]
    broken = [leak for leak in counted if leak.trace.breaks]
    if broken:
        raise PackError(
            f"{_named([leak.path for leak in broken])} would carry the builder's path {broken[0].trace.text}, "
            "which no host has; report its package"
        )
    if counted and rules.policy == REFUSE:
        raise PackError(
            f"{told(counted)}; take that out, name the files in the exempt of leaks, or set its policy to report"
        )
    return tuple(counted)


def told(leaks: t.Sequence[Leak]) -> str:
    """Return one sentence about *leaks*."""
    names = [f"{path} ({trace.what} {trace.text})" for path, trace in leaks]
    return f"what is packed names the builder: {_named(names)}"


def _named(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


# --- what tells of the builder --------------------------------------------------------------------------------------


def traces(prefix: str, records: t.Iterable[Record], home: str, login: str) -> tuple[Trace, ...]:
    """Return what tells of the builder: its paths, a home that is somebody's, and who is there on which machine.

    The name of a user alone is mostly a word (build, conda, root), and C(/root) is in every second wheel.
    """
    caches = {os.path.dirname((record.data.get("link") or {}).get("source") or "") for record in records} - {""}
    found = [Trace("the prefix", path, True) for path in _both(prefix)]
    found += [Trace("the package cache", path) for cache in sorted(caches) for path in _both(cache)]
    if home.rstrip("/").count("/") > 1 and not home.startswith(_NO_HOMES):
        found += [Trace("the home directory", path) for path in _both(home.rstrip("/"))]
    if login and not login.endswith("@localhost"):
        found.append(Trace("the login", login))
    return tuple(found)


def _both(path: str) -> set[str]:
    """Return *path* as it was named, and without links."""
    return {path, os.path.realpath(path)}


def home_here() -> str:
    """Return the home directory of who builds."""
    return os.path.expanduser("~")


def login_here() -> str:
    """Return who builds, and on which machine; empty for a user without a name."""
    try:
        return f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"
    except KeyError:
        return ""


# --- finding --------------------------------------------------------------------------------------------------------


def trace_pattern(text: str) -> t.Pattern[bytes]:
    """Return what finds *text* as a whole, not as the beginning of a longer name."""
    if text.startswith("/"):
        return prefix_pattern(text)
    return re.compile(re.escape(text.encode("utf-8", "surrogateescape")) + _NAME_ENDS)


def _roots(texts: t.Sequence[bytes]) -> list[bytes]:
    """Return texts such that where none of them is, none of *texts* is: few, as each costs a look at every byte.

    Looking for them is far faster than for patterns. Mostly all paths lie below one directory.
    """
    paths = [text for text in texts if text.startswith(b"/")]
    common = os.path.commonpath(paths) if paths else b""
    others = [text for text in texts if text not in paths]
    return [*([common] if common.count(b"/") > 1 else sorted(set(paths))), *others]


class Finder:
    """Finds traces in bytes that go by, wherever they are cut."""

    def __init__(self, searched: t.Sequence[Trace]) -> None:
        self._patterns = [(trace, trace_pattern(trace.text)) for trace in searched]
        texts = [trace.text.encode("utf-8", "surrogateescape") for trace in searched]
        self._roots = _roots(texts)
        self._keep = max(map(len, texts), default=0) + LOOKAHEAD
        self._tail = b""
        self._found: list[Trace] = []

    def look(self, chunk: bytes) -> None:
        """Look at the next *chunk*; what may go on in the one after it is looked at then."""
        data = self._tail + chunk
        self._tail = data[-self._keep :]
        if any(root in data for root in self._roots):
            self._search(data, len(data) - LOOKAHEAD)

    def end(self) -> list[Trace]:
        """Return what was found in all chunks, and begin anew."""
        self._search(self._tail, len(self._tail))
        found, self._found, self._tail = self._found, [], b""
        return [trace for trace in found if not any(other != trace and _within(trace, other) for other in found)]

    def _search(self, data: bytes, before: int) -> None:
        for trace, pattern in self._patterns:
            if trace not in self._found:
                match = pattern.search(data)
                if match and match.end() <= before:
                    self._found.append(trace)


def _within(outer: Trace, inner: Trace) -> bool:
    return inner.text.startswith(outer.text)


class Watch:
    """Everything that is packed goes by here; what names the builder is noted."""

    def __init__(self, searched: t.Sequence[Trace]) -> None:
        self._finder = Finder(searched)
        self.leaks: list[Leak] = []

    def over(self, entry: Entry, chunks: Chunks) -> t.Iterator[bytes]:
        """Yield *chunks*, the bytes of *entry*."""
        finder = self._finder
        # Its name and target may tell of the builder too.
        finder.look(f"{entry.path}\n{entry.target}\n".encode("utf-8", "surrogateescape"))
        for chunk in chunks:
            finder.look(chunk)
            yield chunk
        self.leaks += (Leak(entry.path, trace) for trace in finder.end())


def names(chunks: Chunks, text: str) -> bool:
    """Whether *chunks* hold *text* as a whole path."""
    finder = Finder((Trace("", text),))
    for chunk in chunks:
        finder.look(chunk)
    return bool(finder.end())
