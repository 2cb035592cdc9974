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
from ansible_collections.airgap.conda.plugins.module_utils._host import acting, deployment, host, looking
from ansible_collections.airgap.conda.plugins.module_utils._host.facts import place_of
from ansible_collections.airgap.conda.plugins.module_utils._host.verifying import verify
from ansible_collections.airgap.conda.plugins.module_utils._model.delta import lacking
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import pack_files, unpack_files
from ansible_collections.airgap.conda.plugins.module_utils._model.list_delta import list_delta
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import STREAM_NAME, VERIFY_FULL
from ansible_collections.airgap.conda.plugins.module_utils._model.preflight import RESERVE
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
    path = tmp_path / f"{after.manifest.content_id[:12]}.from-{before.manifest.content_id[:12]}"
    encoding = write_part(after, wanted, str(path))
    offer = newer.offer
    lists = [unpack_files((each.path / "files.jsonl.gz").read_bytes()) for each in (older, newer)]
    files = list_delta(*lists)
    offer["pieces"]["files"] = {"file": "delta.gz", "size": len(files), "sha256": hashlib.sha256(files).hexdigest()}
    offer["pieces"]["archive"] = encoding.piece._asdict()
    offer.update(derived=True, base=older.manifest.content_id, lost=list(lost))
    order = {**site.order(newer, **fields), "offers": {newer.manifest.needs.platform: offer}}
    return Part(order, b"".join(((newer.path / "manifest.json").read_bytes(), files, path.read_bytes())))


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


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[int], None]:
    """Let the host have so many bytes free, beside the reserve."""

    def limit(free: int) -> None:
        monkeypatch.setattr(looking, "place_of", lambda path: place_of(path)._replace(free_bytes=RESERVE + free))

    return limit


def test_a_host_without_room_for_the_archive_gets_the_delta_or_says_why_not(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path, leave: t.Callable[[int], None]
) -> None:
    site.present(older)
    grown = newer.manifest.needs.size - older.manifest.needs.size
    leave(grown + len(newer.stream))
    assert site.run(site.order(newer))["awaited"][0]["short"] == ""
    assert site.run(site.order(newer), check_mode=True)["awaited"] == []
    leave(grown + len(newer.stream) - 1)
    (awaited,) = site.run(site.order(newer))["awaited"]
    assert awaited["short"].startswith(f"ml: {site.envs} has ") and "the deployment needs" in awaited["short"]
    assert site.run(site.order(newer), check_mode=True)["awaited"] == [awaited]
    part = offered(site, older, newer, tmp_path)
    leave(grown + len(part.stream) - 1)
    with pytest.raises(DeployError, match="the deployment needs"):
        site.run(part.order)
    leave(grown + len(part.stream))
    assert send(site, part)[-1]["changed"]
    site.assert_settled(site.order(newer))


def test_a_host_without_room_that_fetches_the_whole_is_refused_at_once(
    site: Site, older: TinyBundle, newer: TinyBundle, leave: t.Callable[[int], None]
) -> None:
    site.present(older)
    leave(newer.manifest.needs.size - older.manifest.needs.size + len(newer.stream) - 1)
    with pytest.raises(DeployError, match="the deployment needs"):
        site.run(site.order(newer, source={"type": "url", "url": "http://127.0.0.1:1/"}))


def test_a_host_without_room_that_has_nothing_is_refused_at_once(
    site: Site, newer: TinyBundle, leave: t.Callable[[int], None]
) -> None:
    leave(newer.manifest.needs.size + len(newer.stream) - 1)
    with pytest.raises(DeployError, match="the deployment needs"):
        site.run(site.order(newer))
    leave(newer.manifest.needs.size + len(newer.stream))
    assert site.present(newer)[-1]["changed"]


def test_what_does_not_fit_with_a_delta_either_is_refused_at_once(
    site: Site, older: TinyBundle, newer: TinyBundle, leave: t.Callable[[int], None]
) -> None:
    site.present(older)
    leave(newer.manifest.needs.size - older.manifest.needs.size - 1)
    with pytest.raises(DeployError, match="the deployment needs"):
        site.run(site.order(newer))


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


def test_what_builds_on_what_is_lost_is_asked_for_anew(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    site.present(older)
    (site.prefix / "share/moves").write_bytes(b"mine")
    part = offered(site, older, newer, tmp_path)
    (awaited,) = site.run(part.order)["awaited"]
    # Of a controller that guessed.
    (awaited,) = site.run(part.order, parts=[site.part(part.stream, awaited, len(part.stream))])["awaited"]
    assert (awaited["base"], awaited["held"]) == (older.manifest.content_id, {})
    assert not os.path.exists(site.store.staging)
    assert "1.0" in site.output()
    send(site, offered(site, older, newer, site.top, awaited["lost"]))
    assert "2.0" in site.output()
    site.assert_settled(site.order(newer))


@pytest.mark.parametrize("text", [b"", b"no gzip", pack_files(b"another list\n")])
def test_a_list_that_is_lost_or_damaged_asks_for_the_whole(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path, text: bytes
) -> None:
    site.present(older)
    part = offered(site, older, newer, tmp_path)
    (awaited,) = site.run(part.order)["awaited"]
    assert awaited["base"] == older.manifest.content_id
    (name,) = os.listdir(site.store.path("files", ""))
    Path(site.store.path("files", name)).write_bytes(text)
    (awaited,) = site.run(part.order, parts=[site.part(part.stream, awaited, len(part.stream))])["awaited"]
    assert awaited["base"] == "" and "1.0" in site.output()
    site.present(newer)
    site.assert_settled(site.order(newer))


def test_what_builds_on_other_content_is_asked_for_anew(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    other = bundle(tmp_path / "0.9", *tool_members("0.9"), file("share/big", BLOB))
    site.present(other)
    part = offered(site, older, newer, tmp_path)
    (awaited,) = site.run(part.order)["awaited"]
    # Of a controller that guessed.
    (awaited,) = site.run(part.order, parts=[site.part(part.stream, awaited, len(part.stream))])["awaited"]
    assert awaited["base"] == other.manifest.content_id and awaited["held"] == {}
    assert "0.9" in site.output()
    results = send(site, offered(site, other, newer, tmp_path))
    assert results[-1]["awaited"] == [] and "2.0" in site.output()


def test_what_is_sent_unasked_counts_where_it_fits(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path
) -> None:
    site.present(older)
    part = offered(site, older, newer, tmp_path)
    unasked = {"stream": part.name, "offset": 0}
    result = site.run(part.order, parts=[site.part(part.stream, unasked, len(part.stream))])
    assert result["changed"] and result["awaited"] == [] and "2.0" in site.output()
    # And the one that it was not the live one of, but kept.
    again = offered(site, older, bundle(tmp_path / "3.0", *tool_members("3.0"), file("share/big", BLOB)), tmp_path)
    unasked = {"stream": again.name, "offset": 0}
    result = site.run(again.order, parts=[site.part(again.stream, unasked, len(again.stream))])
    assert result["awaited"] == [] and "3.0" in site.output()


def test_what_is_sent_unasked_and_cannot_be_decoded_is_left_alone(
    site: Site, older: TinyBundle, newer: TinyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.present(older)
    part = offered(site, older, newer, tmp_path)
    for module in (host, deployment):
        monkeypatch.setattr(module, "decoders", lambda: ["gzip"])
    unasked = {"stream": part.name, "offset": 0}
    (awaited,) = site.run(part.order, parts=[site.part(part.stream, unasked, len(part.stream))])["awaited"]
    assert (awaited["offset"], awaited["held"], awaited["decoders"]) == (0, {}, ["gzip"])
