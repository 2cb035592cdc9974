# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/scale.md say what its formulas make of its constants."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from world.pages import CHECKOUT

PAGE = (CHECKOUT / "docs/scale.md").read_text()
UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}
BITS = {"Mbit/s": 1e6, "Gbit/s": 1e9}


class Cost(NamedTuple):
    """What one host costs: bytes on the link, seconds of CPU on the controller and on the host."""

    sent: float
    controller: float
    host: float


def rows(heading: str) -> list[list[str]]:
    """The first table below a heading: its rows by cells, the headings of its columns first."""
    below = re.split(rf"^#+ {re.escape(heading)}$", PAGE, maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.findall(r"(?:^\|.*\|\n)+", below, re.MULTILINE)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]


def number(text: str) -> float:
    return float(re.findall(r"\d[\d.]*", text.replace(",", ""))[0])


def stated(pattern: str) -> float:
    """A number that the page states."""
    return number(re.findall(pattern, PAGE)[0])


def said(seconds: float) -> str:
    """A time as the page has it, with two digits."""
    unit = next((unit for unit, length in UNITS.items() if seconds >= 2 * length), "s")
    return f"{float(f'{seconds / UNITS[unit]:.2g}'):g} {unit}" if seconds >= 1 else "0 s"


CORES = stated(r"\*K\* = (\d+)")
ARCHIVE = stated(r"archive of (\d+) MB") * 1e6
MEASURED = {name: Cost(number(sent) * 1e6, number(c), number(h)) for name, sent, c, h in rows("Constants")[1:]}


def cost(name: str) -> Cost:
    """What the page says of a case, for more bytes than were measured too."""
    case, size, unit = re.findall(r"^(.*?)(?: of (\d+) (GB|MB))?(?: of delta|, from servers)?$", name)[0]
    more = float(size or 0) * {"GB": 1e9, "MB": 1e6, "": 0}[unit]
    if case == "archive":
        return Cost(more, 0, 0)
    if not more:
        return MEASURED[case]
    none, one = MEASURED["first rollout by url"], MEASURED["first rollout"]
    start = none if case == "first rollout" else MEASURED[case]
    return Cost(*(at + (most - least) * more / ARCHIVE for at, least, most in zip(start, none, one, strict=True)))


@pytest.mark.parametrize("heading", ["By push", "By url"])
def test_times_are_what_the_formula_says(heading: str) -> None:
    (_case, _hosts, *links), *lines = rows(heading)
    rates = [number(link) * BITS[link.split()[1]] for link in links]
    told = {(case, hosts): times for case, hosts, *times in lines}
    expected = {}
    for case, hosts in told:
        each = cost(case)
        times = (number(hosts) * max(8 * each.sent / rate, each.controller / CORES) for rate in rates)
        expected[case, hosts] = [said(time) for time in times]
    assert told == expected


def test_forks_are_what_keeps_the_cores_busy() -> None:
    told = {case: int(forks) for case, forks in rows("Forks")[1:]}
    costs = {case: cost(case) for case in told}
    assert told == {case: round(CORES * (c.controller + c.host) / c.controller) for case, c in costs.items()}
