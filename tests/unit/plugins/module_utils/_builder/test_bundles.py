# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import bundles
from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import (
    Bundled,
    Policy,
    Target,
    make_bundle,
    plan_bundle,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import LeakRules
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import (
    find_bundle,
    is_intact,
    pieces,
    read_manifest,
    verify_piece,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import parse_rules
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import Handmade, PackageFile
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import snapshot

SPEC = "5" * 64


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handmade:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Handmade(tmp_path / "builder")
    made.install("tool", {"bin/tool": PackageFile(b"tool", 0o755)})
    return made


@pytest.fixture
def target(made: Handmade, tmp_path: Path) -> Target:
    return Target(str(made.prefix), "my_env", "linux-64", str(tmp_path / "dist"))


def make(target: Target) -> Bundled:
    return make_bundle(target, SPEC, Progress())


def test_a_bundle_is_made_under_its_label_and_pointed_at(target: Target) -> None:
    bundled = make(target)
    assert bundled.manifest
    label = bundled.manifest.label
    assert bundled == Bundled(True, read_manifest(bundled.directory), os.path.join(target.dist, label))
    assert {label, "my_env-linux-64", "my_env-linux-64.latest"} == set(os.listdir(target.dist))
    assert os.readlink(os.path.join(target.dist, "my_env-linux-64")) == label
    assert find_bundle(os.path.join(target.dist, "my_env-linux-64")) == os.path.join(target.dist, "my_env-linux-64")
    assert bundled.manifest.spec_sha256 == SPEC
    assert [package.line for package in bundled.manifest.packages] == ["tool 1.0 0"]
    for piece in pieces(bundled.manifest):
        verify_piece(bundled.directory, piece)


def test_where_media_have_no_links_the_text_names_the_bundle(target: Target) -> None:
    bundled = make(target)
    os.unlink(os.path.join(target.dist, "my_env-linux-64"))
    assert find_bundle(os.path.join(target.dist, "my_env-linux-64")) == bundled.directory


def test_a_second_run_packs_nothing(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(target)
    before = snapshot(target.dist)
    monkeypatch.setattr(bundles, "Packing", None)
    assert make(target) == first._replace(changed=False)
    assert plan_bundle(target, Progress()) == first._replace(changed=False)
    assert snapshot(target.dist) == before


def test_a_plan_writes_nothing_and_says_the_same(target: Target, made: Handmade) -> None:
    planned = plan_bundle(target, Progress())
    assert not os.path.exists(target.dist)
    assert planned == make(target)._replace(manifest=None)
    made.put("share/own", b"new")
    planned = plan_bundle(target, Progress())
    assert planned == make(target)._replace(manifest=None)


def test_an_environment_still_to_be_made_would_be_packed(target: Target) -> None:
    assert plan_bundle(target._replace(source="/nonexistent"), Progress()) == Bundled(True, None)


def test_a_changed_environment_is_another_bundle_beside_the_first(target: Target, made: Handmade) -> None:
    first = make(target)
    made.put("share/own", b"new")
    second = make(target)
    assert second.changed and second.directory != first.directory
    assert is_intact(first.directory, os.path.basename(first.directory))
    assert os.readlink(os.path.join(target.dist, "my_env-linux-64")) == os.path.basename(second.directory)


def test_the_same_environment_elsewhere_is_the_same_bundle(target: Target, tmp_path: Path) -> None:
    first = make(target)
    other = Handmade(tmp_path / "other builder", "another-name")
    other.install("tool", {"bin/tool": PackageFile(b"tool", 0o755)})
    second = make(target._replace(source=str(other.prefix)))
    assert (second.changed, second.directory) == (False, first.directory)


@pytest.mark.parametrize(
    "damage",
    [
        lambda directory: (directory / "archive.tar.zst").unlink(),
        lambda directory: (directory / "archive.tar.zst").write_bytes(b"cut"),
        lambda directory: (directory / "manifest.json").write_text("{}"),
    ],
)
def test_a_bundle_that_is_not_whole_is_made_again(target: Target, damage: t.Callable[[Path], object]) -> None:
    first = make(target)
    before = snapshot(first.directory)
    before.pop("manifest.json")
    damage(Path(first.directory))
    assert plan_bundle(target, Progress()).changed
    assert make(target).changed
    after = snapshot(first.directory)
    after.pop("manifest.json")
    assert after == before


def test_files_of_a_bundle_are_for_everybody_to_read(target: Target) -> None:
    before = os.umask(0o077)
    try:
        bundled = make(target)
    finally:
        os.umask(before)
    assert os.stat(bundled.directory).st_mode & 0o777 == 0o755
    assert {state[0] & 0o777 for state in snapshot(bundled.directory).values()} == {0o644}


def test_a_failure_leaves_nothing_behind(target: Target, made: Handmade) -> None:
    first = make(target)
    made.put("lib/own.so", b"\0" + os.fsencode(made.prefix) + b"\0")
    before = snapshot(target.dist)
    with pytest.raises(PackError):
        make(target)
    assert snapshot(target.dist) == before
    assert is_intact(first.directory, os.path.basename(first.directory))


def test_a_lost_or_damaged_memory_costs_only_time(target: Target, tmp_path: Path) -> None:
    first = make(target)
    (memo,) = (tmp_path / "cache").rglob("*.json")
    for text in ("", "[]", "5", "null", '{"format": 1}', '{"format": 1, "label": 5, "fingerprint": ""}'):
        memo.write_text(text)
        assert make(target) == first._replace(changed=False, manifest=read_manifest(first.directory)), text


def test_what_is_not_there_is_told(target: Target, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="none is not there; name the prefix of an environment, or an archive of one"):
        make(target._replace(source=str(tmp_path / "none")))
    assert not os.path.exists(target.dist)


def test_bundles_may_lie_where_names_are_no_text(target: Target, tmp_path: Path) -> None:
    odd = target._replace(dist=str(tmp_path / "odd\udcff"))
    bundled = make(odd)
    assert make(odd) == bundled._replace(changed=False)


@pytest.mark.parametrize("name", ["", "../x", "a b"])
def test_a_name_that_is_no_word_is_refused(target: Target, name: str) -> None:
    with pytest.raises(PackError, match="cannot name an environment"):
        make(target._replace(name=name))
    with pytest.raises(PackError, match="cannot name an environment"):
        plan_bundle(target._replace(name=name), Progress())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), r"cannot be read \(No such file or directory\); copy the bundle again"),
        (lambda path: path.write_bytes(b"cut"), r"has 3 bytes, the manifest says \d+; copy the bundle again"),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), r"is damaged \(its sha256 is not the manifest's\)"),
    ],
)
def test_damage_to_a_piece_is_told(target: Target, damage: t.Callable[[Path], object], reason: str) -> None:
    bundled = make(target)
    assert bundled.manifest
    damage(Path(bundled.directory, "archive.tar.zst"))
    with pytest.raises(BundleError, match=reason):
        verify_piece(bundled.directory, bundled.manifest.encodings[0].piece)


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle \(No such file or directory: manifest\.json\)"):
        read_manifest(str(tmp_path))


# --- licences -------------------------------------------------------------------------------------------------------

NO_GPL = Policy(parse_rules({"deny": ["GPL-*"]}))


def licensed(made: Handmade) -> None:
    made.install("gnu", {"bin/gnu": PackageFile(b"gnu", 0o755)}, license="GPLv3")


def test_each_bundle_reports_licences_and_a_lost_report_is_written_again(target: Target, made: Handmade) -> None:
    licensed(made)
    first = make(target)
    report = Path(first.directory, "licenses.txt")
    text = report.read_text()
    assert "\nGPLv3\n    gnu 1.0 0\n" in text and "\n(none stated)\n    tool 1.0 0\n" in text
    report.unlink()
    assert plan_bundle(target, Progress()).changed and not report.exists()
    assert make(target).changed and report.read_text() == text
    assert not plan_bundle(target, Progress()).changed and not make(target).changed


def test_licences_not_allowed_are_refused_and_nothing_is_made(target: Target, made: Handmade) -> None:
    licensed(made)
    reason = r"gnu 1\.0 \(GPLv3: denied\), tool 1\.0 \(states no licence: unknown\)"
    with pytest.raises(PackError, match=reason):
        make_bundle(target, SPEC, Progress(), NO_GPL)
    with pytest.raises(PackError, match=reason):
        plan_bundle(target, Progress(), NO_GPL)
    assert not os.path.exists(target.dist)


def test_new_rules_hold_for_what_was_packed_before(target: Target, made: Handmade) -> None:
    licensed(made)
    make(target)
    before = snapshot(target.dist)
    with pytest.raises(PackError, match="denied"):
        make_bundle(target, SPEC, Progress(), NO_GPL)
    with pytest.raises(PackError, match="denied"):
        plan_bundle(target, Progress(), NO_GPL)
    assert snapshot(target.dist) == before


def test_rules_for_what_is_no_environment_are_told_so(target: Target, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="is not a conda environment"):
        make_bundle(target._replace(source=str(tmp_path)), SPEC, Progress(), NO_GPL)


# --- leaks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def telling(made: Handmade, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of somebody whose home is in two files and the target of a link."""
    monkeypatch.setenv("HOME", "/home/ann")
    made.put("share/notes.txt", b"made in /home/ann/work")
    made.put("share/other.txt", b"/home/ann/work\n/home/anna")
    made.link("lib/data", "/home/ann/data")


def tried(attempt: t.Callable[..., Bundled], target: Target) -> Bundled:
    words = (target, SPEC, Progress()) if attempt is make_bundle else (target, Progress())
    return attempt(*words)


@pytest.mark.usefixtures("telling")
def test_who_built_is_refused_and_nothing_is_made(target: Target) -> None:
    reason = (
        "what is packed names the builder: lib/data (the home directory /home/ann), share/notes.txt (the home directory"
        " /home/ann), share/other.txt (the home directory /home/ann); take that out, name the files in the exempt of"
        " leaks, or set its policy to report"
    )
    for attempt in (make_bundle, plan_bundle):
        with pytest.raises(PackError) as caught:
            tried(attempt, target)
        assert str(caught.value) == reason
    assert not os.path.exists(target.dist) or os.listdir(target.dist) == []


@pytest.mark.usefixtures("telling")
def test_who_built_is_reported_again_and_again(target: Target, tmp_path: Path) -> None:
    report = Policy(leaks=LeakRules("report"))
    planned = plan_bundle(target, Progress(), report)
    packed = make_bundle(target, SPEC, Progress(), report)
    remembered = make_bundle(target, SPEC, Progress(), report)
    assert [leak.path for leak in packed.leaks] == ["lib/data", "share/notes.txt", "share/other.txt"]
    assert planned.leaks == packed.leaks == remembered.leaks and not remembered.changed
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert plan_bundle(target, Progress(), report).leaks == packed.leaks


@pytest.mark.usefixtures("telling")
def test_what_was_reported_once_is_refused_under_other_rules(target: Target) -> None:
    make_bundle(target, SPEC, Progress(), Policy(leaks=LeakRules("report")))
    for attempt in (make_bundle, plan_bundle):
        with pytest.raises(PackError, match="names the builder"):
            tried(attempt, target)
    exempt = Policy(leaks=LeakRules(exempt=("share/*", "lib/data")))
    assert make_bundle(target, SPEC, Progress(), exempt).leaks == ()
