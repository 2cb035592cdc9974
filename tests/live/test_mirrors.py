# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guide says of mirrors and proxies: its play builds there as it stands, and nothing else opens the mirror."""

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from world import ansible, pages, wheels
from world.ansible import Play
from world.mirror import Demands, Mirror, mirror

SECRET = "s3cret-of-the-site"
SPEC = """\
name: my_env
channels: [conda-forge]
dependencies:
  - conda-forge::python=3.11
  - pip
  - pip:
      - attrs==23.1.0
"""


@pytest.fixture
def site(channel: str, tmp_path: Path) -> Iterator[Mirror]:
    """A mirror with the channel and an index for pip, for those who know the login."""
    index = tmp_path / "index/attrs"
    index.mkdir(parents=True)
    (wheel,) = wheels.ensure().rglob("attrs-23.1.0-*.whl")
    (index / wheel.name).symlink_to(wheel)
    trees = {"conda-forge": Path(unquote(urlsplit(channel).path)), "simple": index.parent}
    (tmp_path / "environment.yml").write_text(SPEC)
    with mirror(tmp_path, trees, Demands(login=f"ann:{SECRET}")) as started:
        yield started


def build(site: Mirror, directory: Path, **environment: str) -> Play:
    """Run the play of the guide."""
    (directory / "build.yml").write_text(pages.block("guide_mirrors", "mirror: play"))
    variables = {
        "site_proxy": site.proxy,
        "site_ca": str(site.authority),
        "mirror_user": "ann",
        "mirror_password": SECRET,
    }
    given = ("-vv", "-e", json.dumps(variables))
    return ansible.play("build.yml", *given, cwd=directory, home=directory, **environment)


def test_the_play_of_the_guide_builds_through_the_proxy(site: Mirror, tmp_path: Path) -> None:
    index = f"https://ann:{SECRET}@mirror.example.com/simple"
    # This machine's own would win over PIP_CERT.
    others = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "")
    done = build(site, tmp_path, PIP_INDEX_URL=index, PIP_CERT=str(site.authority), **others)
    assert done.rc == 0 and done.changed == 2, done.output
    assert set(site.connected) == {"mirror.example.com:443"}
    packages = json.loads((tmp_path / "dist/my_env-linux-64/manifest.json").read_text())["packages"]
    assert ("attrs", "23.1.0", "pip") in {(each["name"], each["version"], each["manager"]) for each in packages}
    assert SECRET not in done.output
    written = subprocess.run(["grep", "-rl", SECRET, tmp_path], stdout=subprocess.PIPE, text=True, check=False)
    assert written.stdout == ""


#: Other places in which people keep a login, by file below the home directory.
ELSEWHERE: dict[str, t.Any] = {
    ".netrc": f"machine mirror.example.com login ann password {SECRET}\n",
    ".rattler/credentials.json": json.dumps(
        {"mirror.example.com": {"BasicHTTP": {"username": "ann", "password": SECRET}}}
    ),
    ".condarc": f"channel_alias: https://ann:{SECRET}@mirror.example.com\n",
}


def test_logins_that_are_kept_elsewhere_are_not_read(site: Mirror, tmp_path: Path) -> None:
    for name, text in ELSEWHERE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    (tmp_path / "environment.yml").write_text("name: my_env\ndependencies: [bzip2]\n")
    words = {"spec": "environment.yml", "channels": ["https://mirror.example.com/conda-forge"]}
    command = [str(ansible.BIN / "ansible"), "localhost", "-m", "airgap.conda.env", "-a", json.dumps(words), "--check"]
    done = ansible.run(command, cwd=tmp_path, home=tmp_path, environment=site.environment)
    assert done.rc != 0 and "401 Unauthorized" in done.output and "cannot be read" in done.output, done.output


def test_the_bundle_of_authorities_for_requests_is_not_read_for_channels(site: Mirror, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("name: my_env\ndependencies: [bzip2]\n")
    words = {"spec": "environment.yml", "channels": [f"https://ann:{SECRET}@mirror.example.com/conda-forge"]}
    command = [str(ansible.BIN / "ansible"), "localhost", "-m", "airgap.conda.env", "-a", json.dumps(words), "--check"]
    variables = {"HTTPS_PROXY": site.proxy, "REQUESTS_CA_BUNDLE": str(site.authority)}
    done = ansible.run(command, cwd=tmp_path, home=tmp_path, environment=variables)
    assert done.rc != 0 and "UnknownIssuer" in done.output and SECRET not in done.output, done.output
