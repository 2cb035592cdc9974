# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No link is broken: in the pages of the repository, and in the built site (`make docs` builds it first).

Places in this repository are looked for; of other addresses only the form can be judged without a network.
"""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

CHECKOUT = Path(__file__).parents[2]
SITE = CHECKOUT / "build/docs/html"
#: Where the repository is said to be, by branch.
OURS = re.compile(r"https://github\.com/airgap-conda/airgap\.conda/(?:blob|tree|edit)/main/([^?#]+)")
HOST = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}")
MARKDOWN = sorted(
    path for path in (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("roles/*/*.md"))
)


class Page(html.parser.HTMLParser):
    """The links of a page, and the places in it that links may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += filter(None, (given.get("href"), given.get("src")))
        self.places.update(filter(None, (given.get("id"), given.get("name"))))


def fault(link: str, pages: dict[Path, Page], page: Path) -> str:
    """Why a link of a built page is broken; empty for a good one."""
    if "://" in link or link.startswith("mailto:"):
        return fault_elsewhere(link)
    name, place = urldefrag(link)
    target = (page.parent / unquote(urlsplit(name).path)).resolve() if name else page
    if not target.is_file():
        return "there is no such file"
    return "" if target not in pages or unquote(place) in pages[target].places else "there is no such place"


def fault_elsewhere(link: str) -> str:
    ours = OURS.match(link)
    if ours:
        return "" if (CHECKOUT / ours[1]).exists() else "the repository has no such file"
    parts = urlsplit(link)
    return "" if parts.scheme == "https" and HOST.fullmatch(parts.hostname or "") else "that is no address"


def test_the_site_has_no_broken_link() -> None:
    if not SITE.is_dir():
        pytest.skip("the site is not built; run `make docs`")
    pages = {path.resolve(): Page(path) for path in SITE.rglob("*.html")}
    assert len(pages) > 8
    broken = [
        f"{path.name}: {link}: {reason}"
        for path, page in pages.items()
        for link in page.links
        if (reason := fault(link, pages, path))
    ]
    assert broken == []


def anchors(path: Path) -> set[str]:
    """The places of a page in Markdown, as its headings are linked to."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_pages_of_the_repository_have_no_broken_link(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            assert fault_elsewhere(link) == "", link
            continue
        name, place = urldefrag(link)
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not place or place in anchors(target), link
