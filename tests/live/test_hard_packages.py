# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments that are hard to carry, built as the README shows and rolled out to hosts of three Debian releases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import bundles, hard
from world.carrying import carried, run
from world.conda_package import PLACEHOLDER
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host

SITE = "lib/python3.11/site-packages"

#: All of it, with Python and pip.
HARD = f"""\
name: hard
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - libzlib
{"".join(f"  - {name}{chr(10)}" for name in (*hard.CARRIED, *hard.CARRIED_PYTHON, "clobber-one", "clobber-two"))}\
  - pip:
      - attrs==23.1.0
"""

#: The same without anything of Python.
PLAIN = f"""\
name: plain
channels: [conda-forge]
dependencies:
  - libzlib
{"".join(f"  - {name}{chr(10)}" for name in hard.CARRIED)}"""

PREFIX = "/opt/conda/envs/hard"


@pytest.fixture(scope="module")
def bundle() -> Path:
    return bundles.ensure(HARD)


@pytest.fixture(scope="module")
def without_python() -> Path:
    return bundles.ensure(PLAIN)


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "fleet" in request.fixturenames:
        for host in request.getfixturevalue("fleet").hosts:
            host.run("rm -rf /opt/conda /srv/envs /etc/conda")


def broken(host: Host, prefix: str) -> dict[str, object]:
    """What the packages were made to be, and are not at *prefix*."""
    shown = {
        "relocated-sh": f"{prefix}/share/relocated\n",
        "relocated-awk": f"interpreter of {prefix}: -f {prefix}/bin/relocated-awk\n",
        "linked-one": f"interpreter of {prefix}: {prefix}/bin/linked-one\n",
        "linked-two": f"interpreter of {prefix}: {prefix}/bin/linked-two\n",
        "modes-0555": f"{prefix}\n",
    }
    texts = {path: text.format(prefix, prefix) for path, text in hard.TEXTS.items()}
    texts |= {
        "share/modes/0444-text": f"home = {prefix}\n",
        "etc/post-linked.d/made.conf": f"home = {prefix}/share/post-linked\n",
        "share/hard-links/and-again": "the same bytes\n" * 1000,
    }
    for number, name in enumerate(hard.ODD_NAMES):
        texts[f"share/odd/{name}"] = f"{number} in {prefix}\n" if number % 2 else f"{number}\n"
    links = {
        "etc/post-linked.d/absolute": f"{prefix}/share/post-linked/data",
        "etc/post-linked.d/relative": "../../share/post-linked/data",
        "share/links/absolute": "/etc/hostname",
        "share/links/dangling": "nothing-there",
        "share/links/to-the-prefix": "../..",
        "share/links/odd target": "with space and 'quotes'",
    }
    tree = host.root / prefix.lstrip("/")
    found: dict[str, object] = {}
    for program, expected in shown.items():
        # Activated, as conda has it where the path is long or has spaces and the interpreter is not Python.
        command = f"PATH='{prefix}/bin':$PATH '{prefix}/bin/{program}'"
        found |= _differs(program, host.run(command, user="plain", check=False).stdout, expected)
    for path, expected in texts.items():
        found |= _differs(path, (tree / path).read_text(), expected)
    for path, expected in links.items():
        found |= _differs(path, os.readlink(tree / path), expected)
    for path in ("lib/relocated.bin", "lib/modes-0555-binary"):
        found |= _differs(path, strings((tree / path).read_bytes()), strings(hard.BINARY, prefix))
        found |= _differs(f"size of {path}", (tree / path).stat().st_size, len(hard.BINARY))
    modes = {
        "share/modes/0444": 0o444,
        "share/modes/0444-text": 0o444,
        "bin/modes-0555": 0o555,
        "lib/relocated.bin": 0o644,
    }
    for path, mode in modes.items():
        found |= _differs(f"mode of {path}", (tree / path).stat().st_mode & 0o7777, mode)
    found |= _differs("an empty directory", list((tree / "var/lib/post-linked/empty").iterdir()), [])
    return found


def _differs(what: str, found: object, expected: object) -> dict[str, object]:
    return {} if found == expected else {what: (found, expected)}


def strings(data: bytes, prefix: str = "") -> list[bytes]:
    """The strings of a binary, with the prefix for the placeholder; padding is none."""
    changed = data.replace(PLACEHOLDER.encode(), prefix.encode()) if prefix else data
    return [string for string in changed.split(b"\0") if string]


@pytest.mark.parametrize(
    "envs",
    ["/opt/conda/envs", "/srv/envs/with space", "/srv/envs/ünï", "/srv/envs/" + "deep/" * 30 + "x"],
    ids=["usual", "space", "unicode", "long"],
)
def test_all_of_it_arrives_whole(fleet: Fleet, controller: Controller, bundle: Path, envs: str) -> None:
    # The whole of it on each release, odd paths on one.
    limit = () if envs == "/opt/conda/envs" else ("-l", "host2")
    hosts = fleet.hosts if not limit else [fleet.host("host2")]
    variables = json.dumps({"env_deploy_envs_dir": envs, "env_deploy_bytecode": True})
    done = controller.rollout(bundle, "-e", variables, *limit)
    assert done.rc == 0 and done.changed == len(hosts), done.output
    prefix = f"{envs}/hard"
    for host in hosts:
        assert broken_promises(host, prefix) == {}
        assert broken(host, prefix) == {}
        python_is_whole(host, prefix)
    assert controller.rollout(bundle, "-e", variables, *limit).changed == 0


def python_is_whole(host: Host, prefix: str) -> None:
    tree = host.root / prefix.lstrip("/")
    assert (tree / SITE / "relocated.pth").read_text() == f"{prefix}/share/relocated/python\n"
    for script in ("relocated-py", "relocated-script"):
        assert host.run(f"'{prefix}/bin/{script}'", user="plain").stdout == f"{prefix}\n{prefix}/share\n"
    assert host.run(f"'{prefix}/bin/relocated-entry'", user="plain").stdout == f"{prefix}\n"
    code = "import relocated, relocated_noarch, attr; print(relocated.HOME, relocated_noarch.SHARE, attr.__version__)"
    listing = f"find '{prefix}' -printf '%p %T@\\n'"
    before = host.run(listing).stdout
    told = host.run(f"'{prefix}/bin/python' -c '{code}'", user="plain").stdout
    assert told == f"{prefix} {prefix}/share/relocated 23.1.0\n"
    # Neither does root's first import write anything: all is compiled and valid.
    host.run(f"'{prefix}/bin/python' -c '{code}'")
    assert host.run(listing).stdout == before


def test_what_conda_lists_is_what_the_manifest_says(fleet: Fleet, controller: Controller, bundle: Path) -> None:
    """conda list reads conda-meta, and what pip left: see also test_conda_client."""
    controller.rollout(bundle, "-l", "host1")
    tree = fleet.host("host1").root / PREFIX.lstrip("/")
    records = [json.loads(path.read_text()) for path in (tree / "conda-meta").glob("*.json")]
    listed = {(record["name"], record["version"], record["build"]) for record in records}
    listed |= {("attrs", "23.1.0", "")} if (tree / SITE / "attrs-23.1.0.dist-info/METADATA").exists() else set()
    packages = json.loads((bundle / "manifest.json").read_text())["packages"]
    assert listed == {(package["name"], package["version"], package["build"]) for package in packages}
    # Of two packages that bring one path, one has it.
    owned = [path for record in records for path in record["files"]]
    assert len(owned) == len(set(owned)) and "share/clobbered/note.txt" in owned


def test_activation_runs_what_packages_bring(fleet: Fleet, controller: Controller, bundle: Path) -> None:
    controller.rollout(bundle, "-l", "host1")
    host = fleet.host("host1")
    # As conda's activation does.
    show = f'for f in {PREFIX}/etc/conda/activate.d/*.sh; do . "$f"; done; echo "$RELOCATED_HOME"'
    assert host.run(show, user="plain").stdout == f"{PREFIX}/share/relocated\n"


def test_without_python_it_arrives_whole(fleet: Fleet, controller: Controller, without_python: Path) -> None:
    done = controller.rollout(without_python)
    assert done.rc == 0 and done.changed == 3, done.output
    for host in fleet.hosts:
        assert broken_promises(host, "/opt/conda/envs/plain") == {}
        assert broken(host, "/opt/conda/envs/plain") == {}
    assert controller.rollout(without_python).changed == 0


# --- by hand --------------------------------------------------------------------------------------------------------


def test_tar_and_conda_unpack_make_an_environment_of_it(bundle: Path, tmp_path: Path) -> None:
    tree = carried(bundle / "archive.tar.zst", tmp_path / "by hand")
    assert list(strings((tree / "lib/relocated.bin").read_bytes())) == strings(hard.BINARY, str(tree))
    for name, number in zip(hard.ODD_NAMES[1::2], range(1, 99, 2)):
        assert (tree / "share/odd" / name).read_text() == f"{number} in {tree}\n"
    assert run(tree / "bin/relocated-py").stdout == f"{tree}\n{tree}/share\n"
    # Where the path has spaces, programs of other interpreters than Python find theirs on the PATH, as conda has it.
    assert (
        run(tree / "bin/linked-two", path=f"{tree}/bin:/usr/bin:/bin").stdout
        == f"interpreter of {tree}: {tree}/bin/linked-two\n"
    )
    assert run(tree / "bin/pip", "check").returncode == 0
    done = run("/bin/bash", "-c", f'. "{tree}/bin/activate" && pip --version && echo "$RELOCATED_HOME"')
    assert f"from {tree}/{SITE}/pip" in done.stdout and done.stdout.endswith(f"{tree}/share/relocated\n"), done


def test_without_python_that_of_the_host_unpacks(without_python: Path, tmp_path: Path) -> None:
    tree = carried(without_python / "archive.tar.zst", tmp_path / "by hand")
    assert run(tree / "bin/relocated-sh").stdout == f"{tree}/share/relocated\n"
    assert (tree / "share/modes/0444-text").read_text() == f"home = {tree}\n"


# --- built again ----------------------------------------------------------------------------------------------------

#: Builds and packs; run by somebody, somewhere, under some umask.
BUILD = """\
import json, os, sys
from pathlib import Path
from world.carrying import Workshop
os.umask(int(sys.argv[2], 8))
shop = Workshop(Path(sys.argv[1]))
bundled = shop.bundle(shop.environment("same", *sys.argv[3:], pip=("attrs==23.1.0",)))
print(json.dumps([bundled.directory, bundled.manifest.content_id, bundled.manifest.tar_sha256]))
"""


def test_the_same_solution_is_the_same_bytes_whoever_builds_it_wherever(tmp_path: Path, channel: str) -> None:
    """Another path of another length, another user, another umask, and no cache: same list, same tar, same archive."""
    builds = [("a", "022", 0), ("b" * 60 + "/deeper", "077", 4242), ("c", "002", 4243)]
    told = [_build(tmp_path / below, channel, umask, user) for below, umask, user in builds]
    assert {content for _directory, content, _tar in told} == {told[0][1]}
    assert {tar for _directory, _content, tar in told} == {told[0][2]}
    assert len({(Path(directory) / "archive.tar.zst").read_bytes() for directory, _content, _tar in told}) == 1


def _build(directory: Path, channel: str, umask: str, user: int) -> tuple[str, str, str]:
    """Build all of it in *directory*, as that user where this is root: one who may read what root may."""
    directory.mkdir(parents=True)
    who: list[str] = []
    if user and os.geteuid() == 0:
        os.chown(directory, user, user)
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        who += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    environment = {
        **os.environ,
        "HOME": str(directory),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"),
        "AIRGAP_TEST_CHANNEL": channel,
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    words = ("python=3.11", "pip", *hard.CARRIED, *hard.CARRIED_PYTHON, "clobber-one", "clobber-two")
    command = [*who, sys.executable, "-c", BUILD, str(directory), umask, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    directory_, content, tar = json.loads(done.stdout.splitlines()[-1])
    return directory_, content, tar
