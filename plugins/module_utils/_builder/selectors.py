# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Platform selectors: C(# [linux]) behind a line, as conda-build has them, and mamba's C(sel(linux))."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import KNOWN, WINDOWS

_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9_-]+)")


def selects(expression: str, platform: str) -> bool | None:
    """Whether *expression* (words joined by not, and, or) is true of *platform*; None where it is no selector."""
    try:
        return _Expression(expression, _words(platform)).value()
    except ValueError:
        return None


def names_a_platform(text: str) -> bool:
    """Whether one of the words in *text* is a selector's."""
    return not _ALL.isdisjoint(re.findall(r"[A-Za-z0-9_-]+", text))


def _words(platform: str) -> frozenset[str]:
    """Return what is true of *platform*, in the words of conda-build, conda-lock and mamba."""
    system, _dash, architecture = platform.partition("-")
    words = {platform, system, f"{system}{architecture}"}
    if system != "win":
        words.add("unix")
    words |= {"64": {"x86", "x86_64", "amd64"}, "32": {"x86"}}.get(architecture, {architecture})
    return frozenset(words)


_ALL: frozenset[str] = frozenset().union(*map(_words, (*KNOWN, *WINDOWS)))


class _Expression:
    """Recursive descent over words; C(ValueError) for anything else."""

    def __init__(self, text: str, true: t.Container[str]) -> None:
        self._tokens = self._split(text)
        self._true = true

    @staticmethod
    def _split(text: str) -> list[str]:
        tokens = _TOKEN.findall(text)
        if "".join(tokens) != "".join(text.split()):
            raise ValueError(text)
        return tokens

    def value(self) -> bool:
        found = self._any()
        if self._tokens:
            raise ValueError(self._tokens)
        return found

    def _any(self) -> bool:
        found = self._all()
        while self._next_is("or"):
            found = self._all() or found
        return found

    def _all(self) -> bool:
        found = self._one()
        while self._next_is("and"):
            found = self._one() and found
        return found

    def _one(self) -> bool:
        if self._next_is("not"):
            return not self._one()
        if self._next_is("("):
            found = self._any()
            if not self._next_is(")"):
                raise ValueError("no closing parenthesis")
            return found
        word = self._tokens.pop(0) if self._tokens else ""
        if word not in _ALL:
            raise ValueError(word)
        return word in self._true

    def _next_is(self, token: str) -> bool:
        if self._tokens[:1] != [token]:
            return False
        self._tokens.pop(0)
        return True
