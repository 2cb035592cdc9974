# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host gets what its live generation lacks, and says when that does not do."""

from __future__ import annotations

import hashlib
import os
import pwd
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import read_side, write_part
from ansible_collections.airgap.conda.plugins.module_utils._host import acting, deployment
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import lacking
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import STREAM_NAME, VERIFY_FULL
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import Scope
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.site import Fields, Site
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    Member,
    TinyBundle,
    file,
    make_bundle,
    noise,
    snapshot,
    tool_members,
)

ME = pwd.getpwuid(os.geteuid()).pw_name
BLOB, OTHER = noise(3, 20_000), noise(4, 20_000)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return made_in(tmp_path / "site", monkeypatch)


def made_in(top: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A host whose registration stays below *top*, and whose power is never lost."""
    top.mkdir()
    site = Site(top)
    site.part_size = 20_000
    monkeypatch.setattr(acting, "sync", lambda _path: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(deployment, "scope_of", lambda _order: Scope(False, str(site.home), {ME: str(site.home)}))
    return site


def bundle(path: Path, *members: Member) -> TinyBundle:
    return make_bundle(path, sorted(members, key=lambda member: member.entry.path))


@pytest.fixture
def older(tmp_path: Path) -> TinyBundle:
    return bundle(tmp_path / "1.0", *tool_members("1.0"), file("share/big", BLOB), file("share/moves", OTHER))


@pytest.fixture
def newer(tmp_path: Path) -> TinyBundle:
    moved = [file("a/first", OTHER, 0o755, mtime=1_600_000_000), file("zz/copy", BLOB)]
    return bundle(tmp_path / "2.0", *tool_members("2.0"), file("share/big", BLOB), *moved)


class Part(t.NamedTuple):
    """A delta as a controller offers it."""

    order: Fields
    stream: bytes

    @property
    def name(self) -> str:
        (offer,) = self.order["offers"].values()
        digests = "".join(piece["sha256"] for piece in offer["pieces"].values())
        return hashlib.sha256(digests.encode()).hexdigest()


def offered(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path, lost: t.Sequence[str] = (), **fields: t.Any
) -> Part:
    before, after = read_side(str(older.path)), read_side(str(newer.path))
    wanted = {entry.path for entry in lacking(before.entries, after.entries, lost)}
    path = tmp_path / "delta"
    encoding = write_part(after, wanted, str(path))
    offer = newer.offer
    offer["pieces"]["archive"] = encoding.piece._asdict()
    offer.update(derived=True, base=older.manifest.content_id, lost=list(lost))
    order = {**site.order(newer, **fields), "offers": {newer.manifest.needs.platform: offer}}
    pieces = [newer.path / "manifest.json", newer.path / "files.jsonl.gz", path]
    return Part(order, b"".join(piece.read_bytes() for piece in pieces))


def send(site: Site, part: Part) -> list[Fields]:
    results = [site.run(part.order)]
    while results[-1]["awaited"] and results[-1]["awaited"][0]["base"]:
        (awaited,) = results[-1]["awaited"]
        assert awaited["stream"] == part.name
        results.append(site.run(part.order, parts=[site.part(part.stream, awaited, 5000)]))
    return results


def test_what_is_live_and_the_delta_are_the_newer_one(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(older)
    (awaited,) = site.run(site.order(newer))["awaited"]
    assert awaited["base"] == older.manifest.content_id
    part = offered(site, older, newer, tmp_path)
    assert len(part.stream) < len(newer.stream) / 2
    results = send(site, part)
    assert results[-1]["changed"] and results[-1]["environments"][0]["content_id"] == newer.manifest.content_id
    given = site.tree()
    status = os.stat(site.prefix / "a/first")
    assert (status.st_mode & 0o777, status.st_mtime) == (0o755, 1_600_000_000)
    site.assert_settled(site.order(newer))
    other = made_in(tmp_path / "other", monkeypatch)
    other.present(newer)
    assert set(given) == set(other.tree())
    assert given["zz/copy"][1] == BLOB and given["a/first"] == other.tree()["a/first"]


def test_what_arrived_of_a_delta_is_told_whatever_is_offered(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    site.present(older)
    part = offered(site, older, newer, tmp_path)
    (awaited,) = site.run(part.order)["awaited"]
    site.run(part.order, parts=[site.part(part.stream, awaited, 700)])
    (awaited,) = site.run(site.order(newer))["awaited"]
    assert (awaited["offset"], awaited["held"]) == (0, {part.name[:STREAM_NAME]: 700})


def digest(bundle: TinyBundle, path: str) -> str:
    return next(entry.sha256 for entry in bundle.entries if entry.path == path)


def basis(site: Site, wanted: TinyBundle, **fields: t.Any) -> tuple[str, list[str]]:
    """What the host says that it holds."""
    (awaited,) = site.run(site.order(wanted, **fields))["awaited"]
    return awaited["base"], list(awaited["lost"])


def rewrite(path: Path) -> None:
    path.write_bytes(b"mine")


def move(path: Path) -> None:
    path.rename(f"{path}~")


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("share/big", rewrite),
        ("share/moves", Path.unlink),
        ("lib/libtool.so.1", move),
        ("conda-meta/tool-1.0-0.json", rewrite),
    ],
)
def test_what_drifted_is_said_to_be_lost_and_comes_with_the_delta(
    site: Site, older: TinyBundle, newer: TinyBundle, path: str, how: t.Callable[[Path], object]
) -> None:
    site.present(older)
    how(site.prefix / path)
    lost = [digest(older, path)]
    keep = {"on_unexpected": "keep"}
    assert basis(site, newer, **keep) == (older.manifest.content_id, lost)
    send(site, offered(site, older, newer, site.top, lost, **keep))
    live = site.store.live()
    assert live and live.content_id == newer.manifest.content_id
    site.assert_settled(site.order(newer, **keep))
    assert site.run(site.order(newer, verify="full", **keep))["actions"] == []


def test_a_repair_is_sent_what_is_nowhere_on_the_host(site: Site, older: TinyBundle, tmp_path: Path) -> None:
    site.present(older)
    intact = {path: (site.prefix / path).stat().st_ino for path in ("share/big", "lib/libtool.so.1")}
    (site.prefix / "bin/tool").write_text("mine")
    (site.prefix / "share/moves").unlink()
    lost = sorted([digest(older, "bin/tool"), digest(older, "share/moves")])
    assert basis(site, older) == (older.manifest.content_id, lost)
    part = offered(site, older, older, tmp_path, lost)
    assert len(part.stream) < len(older.stream) - len(BLOB) + 500
    # Manifest and file list are here.
    (awaited,) = site.run(part.order)["awaited"]
    archive = part.order["offers"][older.manifest.needs.platform]["pieces"]["archive"]
    assert awaited["offset"] == awaited["own"] == len(part.stream) - archive["size"]
    assert send(site, part)[-1]["changed"]
    assert site.output() == f"1.0 at {site.prefix}\n"
    assert {path: (site.prefix / path).stat().st_ino for path in intact} == intact
    site.assert_settled(site.order(older))


def test_nothing_is_lost_that_another_file_or_generation_still_has(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    site.present(older)
    site.present(newer)
    (generation,) = site.store.kept()
    other = Path(site.store.tree(generation))
    before = snapshot(other), {each: (other / each).stat().st_ino for each in ("share/big", "lib/libtool.so.1")}
    # As editors do, not through the names that other trees have.
    for path in ("share/big", "zz/copy", "lib/libtool.so.1"):
        (site.prefix / path).unlink()
    (site.prefix / "share/big").write_bytes(b"mine")
    (site.prefix / "zz/copy").write_bytes(b"of one more")
    (site.prefix / "a/first").chmod(0o600)
    assert basis(site, newer) == (newer.manifest.content_id, [])
    part = offered(site, newer, newer, tmp_path)
    assert send(site, part)[-1]["changed"]
    assert (site.prefix / "zz/copy").read_bytes() == BLOB
    assert (site.prefix / "a/first").stat().st_mode & 0o777 == 0o755
    assert site.run(site.order(newer, verify="full"))["actions"] == []
    assert (snapshot(other), {each: (other / each).stat().st_ino for each in before[1]}) == before
    assert not any(verify(site.store, str(other), generation, VERIFY_FULL).damage)


def test_appending_through_every_name_loses_it_everywhere(site: Site, older: TinyBundle, newer: TinyBundle) -> None:
    site.present(older)
    site.present(newer)
    with (site.prefix / "lib/libtool.so.1").open("ab") as file:
        file.write(b"mine")
    assert basis(site, newer) == (newer.manifest.content_id, [digest(newer, "lib/libtool.so.1")])


def test_a_kept_generation_of_the_wanted_content_is_the_basis(site: Site, older: TinyBundle, newer: TinyBundle) -> None:
    site.present(older)
    site.present(newer)
    (generation,) = site.store.kept()
    (Path(site.store.tree(generation)) / "bin/tool").write_text("mine")
    assert basis(site, older) == (older.manifest.content_id, [digest(older, "bin/tool")])


def test_a_base_that_is_lost_unseen_asks_for_the_whole(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    site.present(older)
    (site.prefix / "share/moves").write_bytes(b"mine")
    # Which trusts the record.
    part = offered(site, older, newer, tmp_path, verify="receipt")
    last = send(site, part)[-1]
    assert last["awaited"][0]["base"] == "" and last["awaited"][0]["held"] == {}
    assert not os.path.exists(site.store.staging)
    assert "1.0" in site.output()
    site.present(newer, verify="receipt")
    assert "2.0" in site.output()
    site.assert_settled(site.order(newer))


def test_a_base_of_other_content_is_none(site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path) -> None:
    site.present(bundle(tmp_path / "0.9", *tool_members("0.9")))
    part = offered(site, older, newer, tmp_path)
    results = [site.run(part.order)]
    while results[-1]["awaited"] and not results[-1]["awaited"][0]["offset"] >= len(part.stream):
        (awaited,) = results[-1]["awaited"]
        if not awaited["base"]:
            break
        results.append(site.run(part.order, parts=[site.part(part.stream, awaited, 5000)]))
    assert results[-1]["awaited"][0]["base"] == ""
    assert "0.9" in site.output()
