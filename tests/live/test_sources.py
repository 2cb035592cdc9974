# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whence hosts take a bundle, beside the controller: a web server of the site, a directory of their own."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.ansible import Play, play
from world.controller import Controller, broken_promises
from world.fleet import Fleet, Host, HostSpec
from world.web import CA_PATH, PASSWORD, USER, Web

PREFIX = "/opt/conda/envs/tools"
STICK = "/media/stick"
HOSTS = ("old", "new")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two hosts and the web server of their site."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a fleet needs Linux and root; run the suite as root")
    hosts = [HostSpec(name, release, storage="tmpfs") for name, release in zip(HOSTS, ("bullseye", "trixie"))]
    with Fleet(tmp_path_factory.mktemp("fleet"), [*hosts, HostSpec("web", web=True, storage="tmpfs")]) as started:
        yield started


@pytest.fixture(scope="module")
def started_web(fleet: Fleet) -> Web:
    return Web(fleet.host("web"))


@pytest.fixture
def web(started_web: Web, fleet: Fleet) -> Iterator[Web]:
    """The web server, which serves nothing yet; hosts without environments."""
    yield started_web
    started_web.forget()
    for host in hosts(fleet):
        host.run(f"umount {STICK} 2>/dev/null; rm -rf /opt/conda {STICK} {CA_PATH}")


def hosts(fleet: Fleet) -> list[Host]:
    return [fleet.host(name) for name in HOSTS]


def rollout(controller: Controller, bundle: Path, *arguments: str, **source: str) -> Play:
    """Roll out from a source, whose variables are given without their beginning."""
    variables = {f"env_deploy_source_{name}".replace("_type", ""): value for name, value in source.items()}
    return controller.rollout(bundle, "-l", ",".join(HOSTS), "-e", json.dumps(variables), *arguments)


def archive_size(bundle: Path) -> int:
    return (bundle / "archive.tar.zst").stat().st_size


def test_hosts_fetch_from_a_web_server_and_the_controller_sends_nothing(
    web: Web, fleet: Fleet, controller: Controller, tools: Path
) -> None:
    web.publish(tools)
    before = {host: host.interface_bytes()[0] for host in hosts(fleet)}
    sent_before = web.host.interface_bytes()[1]
    checked = rollout(controller, tools, "--check", type="url", url=web.url)
    assert checked.rc == 0 and checked.changed == 2, checked.output
    done = rollout(controller, tools, type="url", url=web.url)
    assert done.rc == 0 and done.changed == 2, done.output
    sent = web.host.interface_bytes()[1] - sent_before
    assert sent > 2 * archive_size(tools)
    received = sum(host.interface_bytes()[0] - number for host, number in before.items())
    # Two plays of modules, and no archive.
    assert received - sent < 3_000_000
    for host in hosts(fleet):
        assert broken_promises(host, PREFIX) == {}
        assert host.run("ls -A /opt/conda/envs/.airgap/tools/incoming").stdout == ""
    again = rollout(controller, tools, type="url", url=web.url)
    assert again.rc == 0 and again.changed == 0, again.output


def test_a_login_and_a_certificate_of_the_site(web: Web, fleet: Fleet, controller: Controller, tools: Path) -> None:
    web.publish(tools)
    address = f"https://{web.host.address}/private"
    login = {"username": USER, "password": PASSWORD}
    unknown = rollout(controller, tools, type="url", url=address, **login)
    assert unknown.rc != 0 and "CERTIFICATE_VERIFY_FAILED" in unknown.output, unknown.output
    for host in hosts(fleet):
        host.run(f"cat >{CA_PATH} <<'END'\n{web.certificate}END")
    trusted = {"type": "url", "url": address, "ca_path": CA_PATH}
    for wrong in ({}, {**login, "password": "wrong"}):
        refused = rollout(controller, tools, **trusted, **wrong)
        assert refused.rc != 0 and "the login is refused (HTTP status 401)" in refused.output, refused.output
    # Named on the command line, it would be in what Ansible shows of that.
    vault = controller.directory / "vault.yml"
    vault.write_text(json.dumps({"env_deploy_source_password": PASSWORD}))
    done = rollout(controller, tools, "-e", f"@{vault}", "-vvv", **trusted, username=USER)
    assert done.rc == 0 and done.changed == 2, done.output
    assert PASSWORD not in done.output
    for host in hosts(fleet):
        assert host.run(f"grep -rlF {PASSWORD} /opt /root /tmp /var/tmp /var/log", check=False).stdout == ""


def test_what_is_not_the_controllers_bundle_is_refused(
    web: Web, fleet: Fleet, controller: Controller, tools: Path
) -> None:
    missing = rollout(controller, tools, "--check", type="url", url=web.url)
    assert missing.rc != 0 and "it is not there (HTTP status 404)" in missing.output, missing.output
    web.publish(tools)
    place = f"/srv/web/conda/{tools.name}"
    web.host.run(f"printf x | dd of={place}/archive.tar.zst bs=1 seek=1000000 conv=notrunc status=none")
    damaged = rollout(controller, tools, type="url", url=web.url)
    assert damaged.rc != 0 and "is not what the controller offers (another sha256)" in damaged.output, damaged.output
    web.host.run(f"truncate -s 1000 {place}/archive.tar.zst")
    short = rollout(controller, tools, "--check", type="url", url=web.url)
    assert short.rc != 0 and "has 1000 bytes, the controller's" in short.output, short.output
    for host in hosts(fleet):
        assert host.run(f"ls {PREFIX}", check=False).returncode != 0
    web.publish(tools)
    assert rollout(controller, tools, type="url", url=web.url).changed == 2


def test_a_fetch_goes_on_after_a_restart_of_the_server(
    web: Web, fleet: Fleet, controller: Controller, tools: Path
) -> None:
    web.publish(tools)
    before = web.host.interface_bytes()[1]

    def restart() -> None:
        while web.host.interface_bytes()[1] - before < 0.4 * archive_size(tools):
            time.sleep(0.05)
        web.stop()
        web.start()

    thread = threading.Thread(target=restart)
    thread.start()
    done = rollout(controller, tools, "-l", "new", type="url", url=f"http://{web.host.address}/slow")
    thread.join()
    assert done.rc == 0 and done.changed == 1, done.output
    assert any('archive.tar.zst HTTP/1.1" 206' in line for line in web.log), web.log
    assert web.host.interface_bytes()[1] - before < 1.3 * archive_size(tools)
    assert broken_promises(fleet.host("new"), PREFIX) == {}


def test_a_server_that_stays_away_is_named_and_the_next_run_goes_on(
    web: Web, fleet: Fleet, controller: Controller, tools: Path
) -> None:
    web.publish(tools)
    before = web.host.interface_bytes()[1]

    def stop() -> None:
        while web.host.interface_bytes()[1] - before < 0.4 * archive_size(tools):
            time.sleep(0.05)
        web.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    failed = rollout(controller, tools, "-l", "new", type="url", url=f"http://{web.host.address}/slow")
    thread.join()
    assert failed.rc != 0 and "what has arrived is kept, run again" in failed.output, failed.output
    web.start()
    done = rollout(controller, tools, "-l", "new", type="url", url=web.url)
    assert done.rc == 0 and done.changed == 1, done.output
    assert web.host.interface_bytes()[1] - before < 1.3 * archive_size(tools)


def test_hosts_without_zstd_are_sent_gzip_whatever_the_source(
    web: Web, fleet: Fleet, controller: Controller, tools: Path
) -> None:
    web.publish(tools)
    host = fleet.host("new")
    # Over the connection that this keeps open: sshd does not start without the library.
    assert rollout(controller, tools, "-l", "new", "--check", type="url", url=web.url).rc == 0
    web.host.run(": >/var/log/nginx/access.log")
    library = host.run("ls /usr/lib/x86_64-linux-gnu/libzstd.so.1*").stdout.split()
    host.run("".join(f"mv {path} {path}.away;" for path in library))
    try:
        done = rollout(controller, tools, "-l", "new", type="url", url=web.url)
    finally:
        host.run("".join(f"mv {path}.away {path};" for path in library))
    assert done.rc == 0 and done.changed == 1, done.output
    assert broken_promises(host, PREFIX) == {}
    assert web.log == []


def plug(host: Host, directory: Path, place: str) -> None:
    """Mount a stick with a directory at that place on it, read-only."""
    host.run(f"mkdir -p {STICK} && mount -t tmpfs stick {STICK}")
    host.push(directory, f"{STICK}/{place}")
    host.run(f"mount -o remount,ro {STICK}")


def export(bundle: Path, directory: Path) -> Path:
    """Write a medium that cannot hold the bundle's archive in one file; return it."""
    variables = {
        "bundle_export_bundles": [str(bundle)],
        "bundle_export_medium": "medium",
        "bundle_export_part_size": archive_size(bundle) // 3,
    }
    done = play("airgap.conda.export", "-e", json.dumps(variables), cwd=directory, home=directory)
    assert done.rc == 0, done.output
    return directory / "medium"


def test_a_stick_in_each_host_is_read_where_it_is(
    web: Web, fleet: Fleet, controller: Controller, tools: Path, tmp_path: Path
) -> None:
    missing = rollout(controller, tools, "--check", type="path", path=STICK)
    assert missing.rc != 0 and f"{STICK}/manifest.json cannot be read" in missing.output, missing.output
    # One as a directory of bundles, one as bundle_export writes it, with the archive in parts.
    directory_of_bundles, medium = hosts(fleet)
    plug(directory_of_bundles, tools, tools.name)
    plug(medium, export(tools, tmp_path), "")
    assert "archive.tar.zst.004" in medium.run(f"ls {STICK}/bundles/{tools.name}").stdout
    before = {host: host.interface_bytes()[0] for host in hosts(fleet)}
    done = rollout(controller, tools, type="path", path=STICK)
    assert done.rc == 0 and done.changed == 2, done.output
    for host, number in before.items():
        assert host.interface_bytes()[0] - number < 1_500_000
        assert broken_promises(host, PREFIX) == {}
    again = rollout(controller, tools, type="path", path=STICK)
    assert again.rc == 0 and again.changed == 0, again.output


def test_a_damaged_stick_is_refused(web: Web, fleet: Fleet, controller: Controller, tools: Path) -> None:
    for host in hosts(fleet):
        plug(host, tools, tools.name)
        host.run(f"mount -o remount,rw {STICK}")
        archive = f"{STICK}/{tools.name}/archive.tar.zst"
        host.run(f"printf x | dd of={archive} bs=1 seek=1000000 conv=notrunc status=none")
    refused = rollout(controller, tools, type="path", path=f"{STICK}/{tools.name}")
    assert refused.rc != 0 and refused.output.count("copy the bundle again") >= 2, refused.output
    for host in hosts(fleet):
        assert host.run(f"ls {PREFIX}", check=False).returncode != 0


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"type": "path"}, "env_deploy_source_path must be an absolute path of the host"),
        ({"type": "url", "url": "ftp://site/x"}, "must begin with http:// or https:// and name a host"),
        ({"type": "url", "url": "https://me:secret-x@site/"}, "env_deploy_source_url holds a login"),
    ],
)
def test_sources_that_cannot_be_are_named(
    source: dict[str, str], sentence: str, web: Web, controller: Controller, tools: Path
) -> None:
    refused = rollout(controller, tools, "--check", **source)
    assert refused.rc != 0 and sentence in refused.output, refused.output
    assert "secret-x" not in refused.output.split("TASK", 1)[1]
