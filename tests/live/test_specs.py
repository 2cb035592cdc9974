# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs beyond the plain one: packages by file and address, explicit lists, every form of pip's requirements."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import typing as t
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from world import conda_package, wheels
from world.builder import Builder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *unused: t.Any) -> None:
        pass


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of what is in the directory."""
    handler = functools.partial(Quiet, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def root(builder: Builder) -> Path:
    return Path(unquote(urlsplit(builder.channel).path))


def versions(result: dict[str, t.Any], manager: str = "pip") -> dict[str, str]:
    assert "packages" in result, result
    return {found["name"]: found["version"] for found in result["packages"] if found["manager"] == manager}


def own_package(builder: Builder, text: str) -> Path:
    """A conda package of ours, by itself, with one file; its name is the same for every text."""
    (builder.home / "tree").mkdir(exist_ok=True)
    (builder.home / "tree/own.txt").write_text(text)
    made = conda_package.Package("my-own", "1.0", "MIT", ("libzlib",), build="0")
    return conda_package.write(made, builder.home / "tree", builder.home / "made")


def test_a_package_in_a_file_is_used_and_looked_at_again(builder: Builder) -> None:
    (builder.home / "own").mkdir()
    shutil.copy(own_package(builder, "first"), builder.home / "own")
    builder.write("name: demo\nchannels: [{channel}]\ndependencies:\n  - ./own/my-own-1.0-0.conda\n")
    first = builder.run()
    assert {"my-own", "libzlib"} <= versions(first, "conda").keys()
    assert Path(first["prefix"], "own.txt").read_text() == "first"
    record = json.loads(next(Path(first["prefix"], "conda-meta").glob("my-own-*.json")).read_text())
    assert (record["channel"], record["requested_spec"]) == ("<unknown>", "my-own==1.0=0")
    assert not builder.run()["changed"]

    shutil.copy(own_package(builder, "second"), builder.home / "own")
    second = builder.run()
    assert second["changed"] and Path(second["prefix"], "own.txt").read_text() == "second"


@pytest.mark.parametrize("spoil", ["cut", "empty", "text", "gone"])
def test_a_package_in_a_file_that_is_none_is_refused(spoil: str, builder: Builder) -> None:
    package = own_package(builder, "x")
    if spoil == "gone":
        package.unlink()
    else:
        package.write_bytes({"cut": package.read_bytes()[:200], "empty": b"", "text": b"no package\n" * 9}[spoil])
    builder.write("name: demo\nchannels: [{channel}]\ndependencies:\n  - made/linux-64/my-own-1.0-0.conda\n")
    said = builder.run()["msg"]
    assert "my-own-1.0-0.conda" in said and "\n" not in said
    assert ("is not on the builder" if spoil == "gone" else "cannot be used: ") in said
    assert not builder.directory.exists()


def test_a_package_at_an_address_brings_what_it_depends_on(builder: Builder) -> None:
    package = next((root(builder) / "linux-64").glob("libsqlite-*.conda"))
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    with served(root(builder)) as address:
        line = f"{address}/linux-64/{package.name}"
        builder.write(f"name: demo\nchannels: [{{channel}}]\ndependencies:\n  - {line}#{'0' * 64}\n")
        assert "hash mismatch" in builder.run()["msg"]
        builder.write(f"name: demo\nchannels: [{{channel}}]\ndependencies:\n  - {line}#{digest}\n")
        result = builder.run()
        assert {"libsqlite", "libzlib"} <= versions(result, "conda").keys()
        assert not builder.run()["changed"]
    assert {found["channel"] for found in result["packages"] if found["name"] == "libsqlite"} == {address}


def explicit(prefix: str, algorithm: str) -> str:
    """What `conda list --explicit` prints of the environment."""
    records = [json.loads(path.read_text()) for path in Path(prefix, "conda-meta").glob("*.json")]
    return "".join(
        ["# platform: linux-64\n@EXPLICIT\n", *sorted(f"{each['url']}#{each[algorithm]}\n" for each in records)]
    )


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_an_explicit_list_gives_the_same_again(algorithm: str, builder: Builder) -> None:
    builder.write("name: demo\nchannels: [{channel}]\ndependencies: [python=3.11, six]\n")
    first = builder.run()
    listed = explicit(first["prefix"], algorithm)
    (builder.home / "list.txt").write_text(listed)
    again = builder.run(spec="list.txt", name="demo")
    assert again["changed"] and again["packages"] == first["packages"]
    assert subprocess.check_output([f"{again['prefix']}/bin/python", "-c", "import six; print(six.__version__)"])
    assert not builder.run(spec="list.txt", name="demo")["changed"]
    assert builder.run("--check", spec="list.txt", name="other")["packages"] == first["packages"]

    six = next(line for line in listed.splitlines() if "/six-" in line)
    wrong = six[:-4] + "0000"
    (builder.home / "list.txt").write_text(listed.replace(six, wrong))
    refused = builder.run(spec="list.txt", name="demo")
    assert f"has the {algorithm} " in refused["msg"] and "six-1.16.0" in refused["msg"]
    assert builder.prefixes() == [Path(again["prefix"]).name]


def test_an_explicit_list_of_another_platform_is_refused(builder: Builder) -> None:
    package = next((root(builder) / "linux-64").glob("bzip2-*.conda"))
    (builder.home / "list.txt").write_text(f"@EXPLICIT\n{package}\n")
    said = builder.run(spec="list.txt", name="demo", platform="linux-aarch64")["msg"]
    assert said.endswith("is for linux-64, and the hosts are linux-aarch64")


def own_wheel(builder: Builder, text: str) -> None:
    """A wheel of ours, my_own 1.0, that says *text*."""
    with zipfile.ZipFile(builder.home / "my_own-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("my_own.py", f"said = {text!r}\n")
        wheel.writestr("my_own-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-own\nVersion: 1.0\n")
        wheel.writestr("my_own-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("my_own-1.0.dist-info/RECORD", "my_own.py,,\n")


def own_source(directory: Path, name: str, version: str = "1.0") -> Path:
    """A source tree of ours."""
    directory.mkdir(parents=True)
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
        f'[project.optional-dependencies]\nmore = ["certifi"]\n[tool.setuptools]\npy-modules = ["{name}"]\n'
    )
    (directory / f"{name}.py").write_text(f"name = {name!r}\n")
    return directory


def own_sdist(directory: Path, name: str) -> Path:
    top = own_source(directory / f"{name}-1.0", name)
    (top / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return Path(shutil.make_archive(str(directory / f"{name}-1.0"), "gztar", directory, top.name))


def own_repository(directory: Path, name: str) -> None:
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com", "-C", str(own_source(directory, name))]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)


PIP = """\
name: demo
channels: [{channel}]
dependencies:
  - python=3.11
  - pip
  - pip:
      - --no-index
      - --find-links {wheels}
      - -r more/requirements.txt
      - -c more/constraints.txt
      - ./my_own-1.0-py3-none-any.whl
      - named @ file://{home}/named/named-1.0.tar.gz
      - ./tree[more]
      - git+file://{home}/repository@v1#egg=versioned
      - six==1.16.0
      - idna; python_version < "3"
"""


def test_every_form_of_requirement_is_installed_and_followed(builder: Builder, tmp_path: Path) -> None:
    known = wheels.ensure()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/requirements.txt").write_text("# ours\nattrs\npackaging ; python_version > '3'\n-r inner.txt\n")
    (tmp_path / "more/inner.txt").write_text("pytz\n")
    (tmp_path / "more/constraints.txt").write_text("attrs==22.2.0\n")
    own_wheel(builder, "first")
    own_sdist(tmp_path / "named", "named")
    own_source(tmp_path / "tree", "plain")
    own_repository(tmp_path / "repository", "versioned")
    (tmp_path / "environment.yml").write_text(PIP.format(channel=builder.channel, wheels=known, home=tmp_path))
    first = builder.run()
    expected = {"attrs": "22.2.0", "packaging": "23.2", "pytz": "2023.3.post1", "six": "1.16.0"}
    expected |= dict.fromkeys(("my-own", "named", "plain", "versioned"), "1.0") | {"certifi": "2024.2.2"}
    assert versions(first) == expected
    assert not builder.run()["changed"]

    def said(result: dict[str, t.Any]) -> str:
        command = [f"{result['prefix']}/bin/python", "-c", "import my_own; print(my_own.said)"]
        return subprocess.check_output(command, text=True).strip()

    assert said(first) == "first"
    # The same names and versions, other content; and one requirement for another.
    own_wheel(builder, "second")
    (tmp_path / "tree/plain.py").write_text("name = 'changed'\n")
    (tmp_path / "more/inner.txt").write_text("python-dateutil\n")
    second = builder.run()
    assert second["changed"] and said(second) == "second"
    assert "- pytz 2023.3.post1 (pip)" in second["actions"]
    assert versions(second).keys() == (expected.keys() - {"pytz"}) | {"python-dateutil"}
    assert not list(Path(second["prefix"]).rglob("pytz*"))
    assert "changed" in next(Path(second["prefix"]).rglob("site-packages/plain.py")).read_text()
    # Building left things in the tree that are no sources.
    assert not builder.run()["changed"]


@pytest.mark.parametrize("right", [True, False])
def test_hashes_are_checked(right: bool, builder: Builder) -> None:
    known = wheels.ensure()
    digest = hashlib.sha256(next(known.glob("six-*.whl")).read_bytes()).hexdigest() if right else "0" * 64
    builder.write(
        "name: demo\nchannels: [{channel}]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
        f"      - --no-index\n      - --find-links {known}\n      - six==1.16.0 \\\n          --hash=sha256:{digest}\n"
    )
    result = builder.run()
    if right:
        assert versions(result) == {"six": "1.16.0"}
    else:
        assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result["msg"] and not builder.directory.exists()


def test_what_a_file_elsewhere_says_of_editable_installs_is_refused_too(builder: Builder, tmp_path: Path) -> None:
    own_source(tmp_path / "tree", "plain")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/r.txt").write_text(f"-e {tmp_path}/tree\n")
    with served(tmp_path / "served") as address:
        builder.write(
            "name: demo\nchannels: [{channel}]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
            f"      - -r {address}/r.txt\n      - --no-index\n      - -f {wheels.ensure()}\n"
        )
        said = builder.run()["msg"]
    assert said.startswith("pip installed plain as editable, which cannot travel; ")
    assert not builder.directory.exists()


def test_pips_complaints_name_the_users_file_and_line(builder: Builder) -> None:
    (builder.home / "r.txt").write_text("# ours\n\nattrs =\n")
    builder.write("name: demo\nchannels: [{channel}]\ndependencies:\n  - python\n  - pip\n  - pip:\n      - -r r.txt\n")
    said = builder.run()["msg"]
    assert f"line 3 of {builder.home}/r.txt" in said and "\n" not in said, said


WIN = {
    "info": {"subdir": "win-64"},
    "packages": {},
    "packages.conda": {
        f"{name}-{version}-{build}.conda": {
            **{"name": name, "version": version, "build": build, "build_number": 0, "depends": [], "subdir": "win-64"},
            **{"sha256": "0" * 64, "size": 1},
        }
        for name, version, build in (("bzip2", "1.0.8", "hcfcfb64_5"), ("pywin32", "306", "py311_0"))
    },
}


@pytest.mark.parametrize("dependency", ["bzip2=1.0.8=hcfcfb64_5", "pywin32"])
@pytest.mark.parametrize("by", ["file", "http"])
def test_what_is_for_other_platforms_only_names_them(dependency: str, by: str, builder: Builder) -> None:
    shutil.copytree(root(builder), builder.home / "channel")
    (builder.home / "channel/win-64").mkdir()
    (builder.home / "channel/win-64/repodata.json").write_text(json.dumps(WIN))
    with served(builder.home / "channel") as address:
        where = address if by == "http" else "./channel"
        builder.write(f"name: demo\nchannels: [{where}]\ndependencies: [python, '{dependency}']\n")
        said = builder.run("--check")["msg"]
    assert said.startswith(f"{dependency} exists for win-64 only, and the hosts are linux-64; ")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts need Linux and root")
@pytest.mark.parametrize("size", [1, 10, 60, 90])
def test_a_full_disk_is_told_and_nothing_half_made_stays(size: int, builder: Builder, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tests", small], check=True)
    try:
        said = builder.run(workdir=str(small / "work"))["msg"]
        left = sorted(path.name for path in (small / "work").iterdir())
        halves = [path.name for path in (small / "work/pkgs").iterdir() if path.name.startswith(".") and path.is_dir()]
    finally:
        subprocess.run(["umount", small], check=True)
    assert said.startswith(f"no space left on the builder ({small}/work has "), said
    assert "\n" not in said and halves == [] and set(left) <= {"pkgs", "repodata"}


def test_an_unreachable_channel_is_named(builder: Builder) -> None:
    builder.write("name: demo\nchannels: [http://127.0.0.1:9/gone]\ndependencies: [python]\n")
    said = builder.run()["msg"]
    assert said.startswith("channel http://127.0.0.1:9/gone cannot be read: ") and "\n" not in said
    assert not builder.directory.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"name: demo\ndependencies: [python\n", ":3: is not YAML: "),
        (b"name: demo\ndependencies:\n  - python\n  - pip:\n      - -e .\n", ":5: '-e .' is an editable install"),
        (b"name: demo\ndependencies:\n  - caf\xe9\n", ":3: is not UTF-8 (byte 0xe9); save it as UTF-8"),
        (b"name: demo\nname: other\n", ":2: `name` is there twice"),
        (b"name: a/b\nchannels: [x]\ndependencies: [python]\n", ":1: 'a/b' cannot name a directory"),
    ],
)
def test_what_cannot_be_read_names_file_and_line(data: bytes, message: str, builder: Builder) -> None:
    (builder.home / "environment.yml").write_bytes(data)
    said = builder.run()["msg"]
    assert said.startswith(f"{builder.home}/environment.yml{message}") and "\n" not in said
