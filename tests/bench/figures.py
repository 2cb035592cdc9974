# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures: what was measured, what it should be, and whether it is."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

_HEADINGS = ("figure", "measured", "target", "met", "min / median")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    detail: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line by columns."""
        met = "" if self.met is None else "yes" if self.met else "NO"
        return (self.what, self.measured, self.target, met, self.detail)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Two things measured back to back, several times: only their ratios mean anything on a shared machine."""

    names: tuple[str, str]
    unit: str
    values: Sequence[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """One ratio for each pair."""
        return [one / other for one, other in self.values]

    def figure(self, what: str, limit: float | None = None) -> Figure:
        """The median ratio against a limit."""
        ratio = statistics.median(self.ratios)
        sides = [summary(side, self.unit) for side in zip(*self.values, strict=True)]
        detail = f"{self.names[0]} {sides[0]}, {self.names[1]} {sides[1]}"
        if len(self.values) > 1:
            detail += f"; {len(self.values)} pairs, {min(self.ratios):.2f} to {max(self.ratios):.2f}"
        met = None if limit is None else ratio <= limit
        return Figure(what, f"{ratio:.2f}", "" if limit is None else f"<= {limit:.2f}", met, detail)


def summary(values: Sequence[float], unit: str) -> str:
    """The smallest and the median of *values*, or the only one."""
    if len(values) == 1:
        return f"{values[0]:.2f} {unit}"
    return f"{min(values):.1f} / {statistics.median(values):.1f} {unit}"


def table(figures: Sequence[Figure]) -> str:
    """All figures, one a line, in columns."""
    rows = [_HEADINGS, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
