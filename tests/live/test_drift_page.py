# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of drift in a real browser: what it shows, by mouse and by keyboard, and of hostile names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import large_fleet
from world.browser import Browser

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>&amp;\"'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    """The page of 60 hosts with 4 environments each, just opened."""
    browser.open(large_fleet.write(tmp_path, hosts=60).as_uri())
    return browser


def rows(browser: Browser) -> list[str]:
    return list(browser.evaluate("[...document.querySelectorAll('tbody th')].map((each) => each.textContent.trim())"))


def focused(browser: Browser) -> list[str]:
    about = "[document.activeElement.dataset.host, document.activeElement.dataset.name]"
    return list(browser.evaluate(about))


def test_it_asks_for_nothing_and_nothing_goes_wrong(page: Browser) -> None:
    assert [url.partition(":")[0] for url in page.requested] == ["file"]
    assert page.complaints == []
    assert len(rows(page)) == 60
    assert page.evaluate("document.querySelectorAll('thead th').length") == 1 + 4 + 2


def test_the_worst_is_first_and_the_clean_is_last(page: Browser) -> None:
    signs = [row[0] for row in rows(page)]
    assert signs == sorted(signs, key="✕?✓".index)
    assert set(signs) == set("✕?✓")
    assert "set-uid" in page.evaluate("document.querySelector('tbody .why').textContent")


def test_hosts_are_filtered_and_searched(page: Browser) -> None:
    page.evaluate("document.querySelector('.tile.unchecked').click()")
    assert {row[0] for row in rows(page)} == {"?"}
    page.evaluate("document.querySelector('.tile.unchecked').click()")
    page.press("/")
    for letter in "torch":
        page.press(letter)
    found = rows(page)
    assert 0 < len(found) < 60
    assert page.evaluate("document.querySelector('#shown').textContent") == f"{len(found)} of 60 hosts"
    page.evaluate("document.querySelector('#often button').click()")
    assert 0 < len(rows(page)) < 60
    for letter in "no such thing":
        page.press(letter)
    page.evaluate("document.querySelector('#search').value = 'no such'; draw()")
    assert rows(page) == [] and not page.evaluate("document.querySelector('#none').hidden")


def test_all_can_be_reached_by_keyboard(page: Browser) -> None:
    page.evaluate("document.querySelector('tbody .cell').focus()")
    first = focused(page)
    page.press("ArrowRight", "ArrowDown")
    second = focused(page)
    assert second[0] != first[0] and second[1] != first[1]
    page.press("Enter")
    detail = "document.querySelector('#detail')"
    assert second == page.evaluate("[opened.host, opened.name]")
    assert page.evaluate(f"{detail}.textContent").startswith(" · ".join(second))
    assert page.evaluate(f"document.activeElement === {detail}")
    page.press("Escape")
    assert page.evaluate(f"{detail}.hidden") and focused(page) == second
    page.press("End", "ArrowRight", "Home", "ArrowUp")
    assert focused(page) == first
    # One stop of the tabulator, not one for each cell.
    assert page.evaluate("document.querySelectorAll('.cell[tabindex=\"0\"]').length") == 1


def test_details_go_down_to_package_and_file(page: Browser) -> None:
    page.evaluate(
        "[...document.querySelectorAll('.cell.drift')].find((each) => each.textContent.includes('14')).click()"
    )
    text = page.evaluate("document.querySelector('#detail').innerText")
    for words in ("requests 2.31.0 → 2.32.3", "Generation", "0003-8a9e07301864", "looked at 2026-", "Took"):
        assert words in text
    assert page.evaluate("document.querySelectorAll('#detail details[open] li').length") == 14
    # The address names what is open, so that it can be passed on.
    assert page.evaluate("location.hash.split('/').length") == 2


def test_a_host_that_was_not_reached_says_why(page: Browser) -> None:
    page.evaluate(
        "[...document.querySelectorAll('.cell')].find((each) => each.textContent.includes('not reached')).click()"
    )
    assert "Connection timed out" in page.evaluate("document.querySelector('#detail').textContent")


def test_names_from_hosts_are_text(browser: Browser, tmp_path: Path) -> None:
    fleet = large_fleet.fleet(3)
    for host in fleet["hosts"]:
        host["host"] += HOSTILE
        for row in host["environments"]:
            row["explanations"] = [HOSTILE]
            row["findings"] = [{"kind": "modified", "path": HOSTILE, "package": HOSTILE, "detail": HOSTILE}]
            row["unchecked"] = [{"path": HOSTILE, "reason": HOSTILE}]
    browser.open(large_fleet.write_page(fleet, tmp_path).as_uri())
    browser.evaluate("document.querySelector('tbody .cell').click()")
    assert HOSTILE in browser.evaluate("document.querySelector('#detail').textContent")
    assert browser.evaluate("window.hacked === undefined && !document.querySelector('#detail img')")
    assert browser.complaints == []


#: The contrast of each element with what is behind it, by the formula of WCAG 2.
CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const behind = (node) => { const c = rgb(getComputedStyle(node).backgroundColor);
    return c.length > 3 && c[3] === 0 ? behind(node.parentElement) : c; };
  return ['.cell.drift', '.cell.unchecked', '.cell.clean', '.tile.drift', '.tile.unchecked', '.tile.clean', '.faint',
    'h1', 'td.why'].map((selector) => { const node = document.querySelector(selector);
      const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
      return [selector, (a + .05) / (b + .05)]; });
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read_by_day_and_by_night(page: Browser, scheme: str) -> None:
    page.prefer(scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(ground) > 384) == (scheme == "light")
    assert [each for each in page.evaluate(CONTRAST) if each[1] < 4.5] == []


def test_what_the_page_holds_is_what_programs_read(browser: Browser, tmp_path: Path) -> None:
    page = large_fleet.write(tmp_path, hosts=40)
    browser.open(page.as_uri())
    whole = json.loads(page.with_suffix(".json").read_text())
    assert browser.evaluate("report.hosts.map((host) => host.host)") == [host["host"] for host in whole["hosts"]]
    shown = browser.evaluate("report.hosts.flatMap((host) => host.environments.map((row) => row.counts.findings))")
    assert shown == [len(row["findings"]) for host in whole["hosts"] for row in host["environments"]]
