# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No login or token of a channel, an index or a repository is to be found anywhere afterwards, or meanwhile."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import zstandard
from world import ansible, wheels
from world.controller import Controller
from world.fleet import Fleet, HostSpec
from world.mirror import NAME, Demands, Mirror, mirror

USER, PASSWORD, TOKEN = "ann-of-the-site", "pw-s3cret-of-ann", "tk-s3cret-0123"
#: What must not be found: also as it stands in a header.
SECRETS = (USER, PASSWORD, TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
SPEC = f"""\
name: my_env
channels: [nowhere]
dependencies:
  - private::python=3.11
  - https://{USER}:{PASSWORD}@{NAME}/private/noarch/SIX
  - pip
  - pip:
      - --index-url https://${{{{INDEX_USER}}}}:{PASSWORD}@{NAME}/simple
      - attrs==23.1.0
      - named @ https://{USER}:{PASSWORD}@{NAME}/files/named-1.0.tar.gz
      - git+https://{USER}:{PASSWORD}@{NAME}/git/versioned#egg=versioned
      - -r more.txt
"""


class Processes(threading.Thread):
    """Looks at the command line of every process of the machine, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.002):
            for number in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    words = Path("/proc", number, "cmdline").read_bytes().split(b"\0")
                    self.seen.add(b" ".join(words).decode(errors="replace"))

    def __enter__(self) -> Processes:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self.join()

    def with_secrets(self) -> list[str]:
        return [line for line in self.seen if any(secret in line for secret in SECRETS)]


def source(directory: Path, name: str) -> Path:
    """A source tree whose build asks the index for more, which pip does in a process of its own."""
    directory.mkdir(parents=True)
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["{name}"]\n'
    )
    (directory / f"{name}.py").write_text("")
    return directory


def index(directory: Path) -> Path:
    """An index of a few wheels, each below its name."""
    for name in ("attrs-23.1.0", "setuptools-68.2.2", "wheel-0.42.0", "idna-3.6", "certifi-2024.2.2"):
        (found,) = wheels.ensure().glob(f"{name}-*.whl")
        (directory / name.partition("-")[0]).mkdir(parents=True)
        (directory / name.partition("-")[0] / found.name).symlink_to(found)
    return directory


def repository(directory: Path, name: str) -> Path:
    """A repository as plain files, which is the least that a web server can offer."""
    tree = source(directory / "tree", name)
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com", "-C", str(tree)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", tree, directory / "git" / name], check=True)
    subprocess.run(["git", "-C", directory / "git" / name, "update-server-info"], check=True)
    return directory / "git"


@pytest.fixture(scope="module")
def site(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror that opens to the login only; the channel has a token in its address too."""
    below = tmp_path_factory.mktemp("site")
    private = Path(unquote(urlsplit(channel).path))
    (below / "t" / TOKEN).mkdir(parents=True)
    (below / "t" / TOKEN / "private").symlink_to(private)
    source(below / "files/named-1.0", "named")
    (below / "files/named-1.0/PKG-INFO").write_text("Metadata-Version: 2.1\nName: named\nVersion: 1.0\n")
    shutil.make_archive(str(below / "files/named-1.0"), "gztar", below / "files", "named-1.0")
    trees = {
        **{"t": below / "t", "private": private, "simple": index(below / "simple")},
        **{"files": below / "files", "git": repository(below, "versioned")},
    }
    with mirror(below, trees, Demands(login=f"{USER}:{PASSWORD}")) as started:
        yield started


#: The play of someone who keeps logins in a vault.
PLAY = f"""\
- hosts: localhost
  gather_facts: false
  vars_files: [vault.yml]
  vars:
    login: "{{{{ user }}}}:{{{{ password }}}}@{NAME}"
    env_build_channels: ["https://{{{{ login }}}}/t/{{{{ token }}}}/private"]
    env_build_pip_args: [--index-url, "https://{{{{ login }}}}/simple"]
  roles:
    - airgap.conda.env_build
"""
#: What the user wrote, and only that, has them.
WRITTEN = {"environment.yml", "more.txt", "pip.conf", "vault.yml"}


@dataclasses.dataclass
class Builder:
    """A builder's directory: a spec with logins in it, and pip's own configuration with more."""

    home: Path
    environment: dict[str, str]

    def write(self, channel: str) -> None:
        six = next(Path(unquote(urlsplit(channel).path), "noarch").glob("six-*.conda")).name
        more = f"https://{USER}:{PASSWORD}@{NAME}/simple"
        texts = {
            "environment.yml": SPEC.format().replace("SIX", six),
            "more.txt": f"--extra-index-url {more}\nidna==3.6\n",
            ".config/pip/pip.conf": f"[global]\nextra-index-url = {more}\n",
            "build.yml": PLAY,
            "vault.yml": json.dumps({"user": USER, "password": PASSWORD, "token": TOKEN}),
        }
        for name in (".config/pip", "tmp"):
            (self.home / name).mkdir(parents=True)
        for name, text in texts.items():
            (self.home / name).write_text(text)

    def build(self) -> ansible.Play:
        return ansible.play("build.yml", "-vvv", "--diff", cwd=self.home, home=self.home, **self.environment)

    @property
    def bundle(self) -> Path:
        return self.home / "dist/my_env-linux-64"


@dataclasses.dataclass
class Built:
    """What was to be seen while a builder built."""

    builder: Builder
    output: str
    processes: Processes


@pytest.fixture(scope="module")
def built(site: Mirror, channel: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("home")
    variables = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "GIT_SSL_CAINFO"), str(site.authority))
    variables |= dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "")
    variables |= {"HTTPS_PROXY": site.proxy, "INDEX_USER": USER, "TMPDIR": str(home / "tmp")}
    builder = Builder(home, {**variables, "ANSIBLE_LOG_PATH": str(home / "ansible.log")})
    builder.write(channel)
    with Processes() as processes:
        done = builder.build()
    assert done.rc == 0 and done.changed == 2, done.output
    return Built(builder, done.output, processes)


def files(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below, and what is in the bundles."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            yield str(path), data
            if path.name.endswith(".tar.zst"):
                yield f"{path} inside", zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
            if path.suffix == ".gz":
                yield f"{path} inside", gzip.decompress(data)


def with_secrets(directory: Path, but: set[str]) -> list[str]:
    return [
        name
        for name, data in files(directory)
        if os.path.basename(name) not in but and any(secret.encode() in data for secret in SECRETS)
    ]


def test_the_builder_keeps_and_shows_nothing_of_them(built: Built) -> None:
    assert [secret for secret in SECRETS if secret in built.output] == []
    assert with_secrets(built.builder.home, WRITTEN) == []
    packages = json.loads((built.builder.bundle / "manifest.json").read_text())["packages"]
    expected = {"attrs", "idna", "named", "versioned"}
    assert {each["name"] for each in packages if each["manager"] == "pip"} == expected
    assert {each["channel"] for each in packages if each["name"] == "six"} == {f"https://{NAME}/private"}


def test_no_process_had_them_on_its_command_line(built: Built) -> None:
    # These do have addresses on theirs: pip, the pip that it starts for what a build requires, and git.
    for words in ("-m pip .*--index-url https://", "install --ignore-installed .*-i https://", "git clone .*https://"):
        assert any(re.search(words, line) for line in built.processes.seen), words
    assert built.processes.with_secrets() == []


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    with Fleet(tmp_path_factory.mktemp("fleet"), [HostSpec("host", "trixie", storage="tmpfs")]) as started:
        yield started


def test_no_host_hears_of_them(built: Built, fleet: Fleet, controller: Controller) -> None:
    done = controller.rollout(built.builder.bundle, "-vvv", "--diff")
    assert done.rc == 0 and done.changed == 1, done.output
    assert [secret for secret in SECRETS if secret in done.output] == []
    patterns = " ".join(f"-e {secret}" for secret in SECRETS)
    searched = fleet.host("host").run(f"grep -rlaF {patterns} /opt /etc /root /home /tmp /var", check=False)
    assert (searched.returncode, searched.stdout) == (1, "")


def test_failures_tell_no_more(built: Built) -> None:
    builder = built.builder
    (builder.home / "more.txt").write_text("no-such-distribution==1\n")
    failed = builder.build()
    assert failed.rc != 0 and "no-such-distribution" in failed.output, failed.output
    (builder.home / "vault.yml").write_text(json.dumps({"user": USER, "password": f"{PASSWORD}x", "token": TOKEN}))
    shut = builder.build()
    assert shut.rc != 0 and "cannot be " in shut.output, shut.output
    assert [secret for secret in SECRETS if secret in failed.output + shut.output] == []
    assert with_secrets(builder.home, WRITTEN) == []
