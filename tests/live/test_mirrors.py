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
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

import pytest
from world import ansible, backends, pages, wheels
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


class Way(t.NamedTuple):
    """How a user has told builders to reach the channel, and what the site demands of them."""

    demands: Demands
    channels: list[str] | None = None
    condarc: t.Mapping[str, t.Any] = MappingProxyType({})
    netrc: str = ""
    variables: t.Mapping[str, str] = MappingProxyType({})
    #: Whether the proxy and the authorities are named in the .condarc, else in the environment.
    configured: bool = True
    #: By whom alone it can be reached so.
    only: str = ""


ADDRESS = "https://mirror.example.com/conda-forge"
LOGIN, TOKEN = Demands(login=f"ann:{SECRET}"), Demands(token=SECRET)
NETRC = f"machine mirror.example.com login ann password {SECRET}\n"
WITH_LOGIN = f"https://ann:{SECRET}@mirror.example.com"

CERTIFICATE, PRESENTED = Demands(certificate=True), {"client_ssl_cert": "{site}/client.pem"}

WAYS = {
    "login in the address": Way(LOGIN, [f"{WITH_LOGIN}/conda-forge"]),
    "token in the address": Way(TOKEN, [f"https://mirror.example.com/t/{SECRET}/conda-forge"]),
    "login in .netrc": Way(LOGIN, [ADDRESS], netrc=NETRC),
    "login in .netrc, all else in the environment": Way(LOGIN, [ADDRESS], netrc=NETRC, configured=False),
    "channel_alias": Way(LOGIN, condarc={"channel_alias": WITH_LOGIN}),
    "custom_channels": Way(
        TOKEN, condarc={"custom_channels": {"conda-forge": f"https://mirror.example.com/t/{SECRET}"}}
    ),
    "custom_channels with a variable": Way(
        LOGIN,
        condarc={"custom_channels": {"conda-forge": "https://ann:${SITE_PASSWORD}@mirror.example.com"}},
        variables={"SITE_PASSWORD": SECRET},
    ),
    "custom_multichannels": Way(
        LOGIN, ["ours"], condarc={"custom_multichannels": {"ours": [f"{WITH_LOGIN}/conda-forge"]}}
    ),
    "default_channels": Way(LOGIN, ["defaults"], condarc={"default_channels": [f"{WITH_LOGIN}/conda-forge"]}),
    "channels": Way(LOGIN, [], condarc={"channels": [f"{WITH_LOGIN}/conda-forge"]}),
    "mirrored_channels": Way(
        LOGIN, condarc={"mirrored_channels": {"conda-forge": [ADDRESS]}}, netrc=NETRC, only="rattler"
    ),
    "a client certificate": Way(CERTIFICATE, [ADDRESS], condarc=PRESENTED),
    "a client certificate, and theirs unseen": Way(CERTIFICATE, [ADDRESS], condarc={"ssl_verify": False, **PRESENTED}),
    "a client certificate and a login in .netrc": Way(
        CERTIFICATE._replace(login=f"ann:{SECRET}"), [ADDRESS], condarc=PRESENTED, netrc=NETRC
    ),
    "a client certificate and a login in the address": Way(
        CERTIFICATE._replace(login=f"ann:{SECRET}"), [f"{WITH_LOGIN}/conda-forge"], condarc=PRESENTED
    ),
    "a client certificate for one of mirrored_channels": Way(
        CERTIFICATE._replace(login=f"ann:{SECRET}"),
        condarc={"mirrored_channels": {"conda-forge": [ADDRESS]}, **PRESENTED},
        netrc=NETRC,
        only="rattler",
    ),
}


@pytest.mark.parametrize(
    ("way", "backend"),
    [(way, backend) for way, how in WAYS.items() for backend in backends.TESTED if how.only in ("", backend)],
)
def test_what_the_user_configured_for_conda_opens_the_mirror(
    way: str, backend: str, channel: str, tmp_path: Path
) -> None:
    how, home, place = WAYS[way], tmp_path / "home", tmp_path / "site"
    home.mkdir()
    place.mkdir()
    wanted = ["conda-forge"] if how.channels is None else how.channels
    dependencies = [f"conda-forge::{name}" if how.channels is None else name for name in ("bzip2", "libffi")]
    spec = {"name": "demo", "channels": wanted, "dependencies": dependencies}
    (home / "environment.yml").write_text(json.dumps(spec))
    (home / ".netrc").write_text(how.netrc)
    (home / ".netrc").chmod(0o600)
    with mirror(place, {"conda-forge": Path(unquote(urlsplit(channel).path))}, how.demands) as site:
        condarc = json.loads(json.dumps(dict(how.condarc)).replace("{site}", str(place)))
        # This machine's own would win over those of the site.
        given = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", **how.variables}
        if how.configured:
            condarc = {"proxy_servers": {"https": site.proxy}, "ssl_verify": str(site.authority), **condarc}
        else:
            authorities = {"REQUESTS_CA_BUNDLE": str(site.authority), "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}
            given.update(authorities, HTTPS_PROXY=site.proxy)
        (home / ".condarc").write_text(json.dumps(condarc))
        arguments = {"spec": "environment.yml", **backends.options(backend)}
        with backends.watched_for(SECRET) as spoken:
            built = backends.module("env", arguments, home, environment=given)
    assert built.get("changed"), built
    assert spoken == []
    assert set(site.connected) == {"mirror.example.com:443"}
    address = "conda-forge" if how.only == "rattler" else ADDRESS
    assert {package["channel"] for package in built["packages"]} == {address}
    for name in (".netrc", ".condarc", "environment.yml"):
        (home / name).unlink()
    assert SECRET not in built["shown"]
    written = subprocess.run(["grep", "-rl", SECRET, home], stdout=subprocess.PIPE, text=True, check=False)
    assert written.stdout == ""


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ("/nowhere.pem", "the client certificate /nowhere.pem cannot be used: No such file or directory"),
        ("{site}/authority.pem", "/authority.pem cannot be used: "),
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_named(certificate: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(f"name: my_env\nchannels: [{ADDRESS}]\ndependencies: [bzip2]\n")
    with mirror(tmp_path, {}) as _site:
        settings = {"client_ssl_cert": certificate.replace("{site}", str(tmp_path))}
        (tmp_path / ".condarc").write_text(json.dumps(settings))
        refused = backends.module("env", {"spec": "environment.yml"}, tmp_path)
    assert said in refused["msg"] and "client_ssl_cert" in refused["msg"]


def test_a_client_certificate_opens_packages_by_their_address(channel: str, tmp_path: Path) -> None:
    tree = Path(unquote(urlsplit(channel).path))
    (package,) = tree.glob("linux-64/bzip2-*.conda")
    address = f"{ADDRESS}/linux-64/{package.name}"
    spec = {"name": "demo", "channels": [ADDRESS], "dependencies": [address]}
    (tmp_path / "environment.yml").write_text(json.dumps(spec))
    with mirror(tmp_path, {"conda-forge": tree}, CERTIFICATE) as site:
        settings = {"proxy_servers": {"https": site.proxy}, "ssl_verify": str(site.authority)}
        (tmp_path / ".condarc").write_text(json.dumps({"client_ssl_cert": str(tmp_path / "client.pem"), **settings}))
        given = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
        built = backends.module("env", {"spec": "environment.yml"}, tmp_path, environment=given)
        (tmp_path / "environment.yml").write_text(json.dumps({**spec, "dependencies": [f"{address[:-6]}-none.conda"]}))
        refused = backends.module("env", {"spec": "environment.yml"}, tmp_path, environment=given)
    assert "bzip2" in {each["name"] for each in built["packages"]}, built
    assert "-none.conda" in refused["msg"] and "127.0.0.1" not in refused["msg"], refused


def test_a_site_that_does_not_take_the_client_certificate_is_named(channel: str, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(f"name: my_env\nchannels: [{ADDRESS}]\ndependencies: [bzip2]\n")
    other = tmp_path / "other"
    other.mkdir()
    trees = {"conda-forge": Path(unquote(urlsplit(channel).path))}
    with mirror(tmp_path, trees, CERTIFICATE) as site, mirror(other, {}):
        settings = {"proxy_servers": {"https": site.proxy}, "ssl_verify": str(site.authority)}
        (tmp_path / ".condarc").write_text(json.dumps({"client_ssl_cert": str(other / "client.pem"), **settings}))
        given = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
        refused = backends.module("env", {"spec": "environment.yml"}, tmp_path, environment=given)
    assert f"{ADDRESS} cannot be read" in refused["msg"] and "127.0.0.1" not in refused["msg"], refused["msg"]
    # Which of its words arrive before it hangs up is for the network to say.
    assert f" (client certificate: {other / 'client.pem'}). Check" in refused["msg"], refused["msg"]


@pytest.mark.parametrize("backend", backends.TESTED)
def test_a_channel_that_the_user_denies_is_not_read(backend: str, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("name: my_env\nchannels: [defaults]\ndependencies: [bzip2]\n")
    (tmp_path / ".condarc").write_text("denylist_channels: [defaults]\n")
    refused = backends.module("env", {"spec": "environment.yml", **backends.options(backend)}, tmp_path)
    assert "does not allow the channel https://repo.anaconda.com/pkgs/main" in refused["msg"]


def test_pip_reads_the_users_configuration(site: Mirror, tmp_path: Path, channel: str) -> None:
    """pip.conf, with an index, a proxy and authorities of its own."""
    (tmp_path / ".config/pip").mkdir(parents=True)
    index = f"https://ann:{SECRET}@mirror.example.com/simple"
    settings = {"index-url": index, "proxy": site.proxy, "cert": str(site.authority), "user": "yes"}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (tmp_path / ".config/pip/pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    plain = SPEC.replace("conda-forge::", "").replace("[conda-forge]", f"[{channel}]")
    (tmp_path / "environment.yml").write_text(plain)
    others = dict.fromkeys(("PIP_CERT", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY"), "")
    built = backends.module("env", {"spec": "environment.yml"}, tmp_path, environment=others)
    assert ("attrs", "23.1.0") in {(each["name"], each["version"]) for each in built["packages"]}, built
    assert set(site.connected) == {"mirror.example.com:443"}
    assert SECRET not in built["shown"]
