# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module `env` as a user runs it: real solver, real channel, real pip."""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path
from urllib.parse import unquote, urlsplit

import conda_pack
import pytest
from world.builder import SPEC, Builder


def test_the_life_of_a_build_environment(builder: Builder) -> None:
    predicted = builder.run("--check", "--diff")
    assert predicted["changed"] and predicted["prefix"] is None
    assert "+ pandas 1.5.2" in " ".join(predicted["actions"])
    assert not builder.workdir.exists()

    first = builder.run()
    prefix = Path(first["prefix"])
    assert first["changed"] and (first["name"], first["platform"]) == ("demo", "linux-64")
    conda = [package for package in first["packages"] if package["manager"] == "conda"]
    assert conda == [package for package in predicted["packages"] if package["manager"] == "conda"]
    assert {"attrs": "23.1.0"}.items() <= {p["name"]: p["version"] for p in first["packages"]}.items()
    loaded = [str(prefix / "bin" / "python"), "-c", "import attr, pandas; print(attr.__file__, pandas.__version__)"]
    assert str(prefix) in subprocess.check_output(loaded, text=True)

    for options in ((), ("--check",)):
        again = builder.run(*options)
        assert (again["changed"], again["prefix"], again["actions"]) == (False, str(prefix), [])
        assert again["packages"] == first["packages"]

    builder.write(SPEC.replace("1.5.2", "1.5.3"))
    expected = builder.run("--check", "--diff")
    changed = builder.run()
    assert expected["changed"] and changed["changed"]
    assert expected["actions"] == changed["actions"]
    assert any(action.startswith("pandas 1.5.2 → 1.5.3") for action in changed["actions"])
    assert changed["prefix"] != str(prefix) and not prefix.exists()
    assert builder.prefixes() == [Path(changed["prefix"]).name]

    removed = builder.run(state="absent", name="demo")
    assert removed["changed"] and not builder.directory.exists()
    assert (builder.workdir / "pkgs").is_dir()
    assert not builder.run(state="absent", name="demo")["changed"]


def test_the_prefix_is_as_conda_would_leave_it(builder: Builder) -> None:
    prefix = Path(builder.run()["prefix"])
    assert {path.stat().st_mode & 0o777 for path in (prefix / "conda-meta").iterdir()} == {0o644}
    assert not (prefix / "CACHEDIR.TAG").exists()
    assert "# update specs: ['python=3.11', 'pandas=1.5.2', 'pip']" in (prefix / "conda-meta" / "history").read_text()
    assert json.loads((prefix / "conda-meta" / "state").read_text()) == {"env_vars": {"DEMO": "yes"}}
    records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
    requested = {record["name"]: record["requested_spec"] for record in records if record.get("requested_spec")}
    assert requested == {"python": "python=3.11", "pandas": "pandas=1.5.2", "pip": "pip"}
    assert not any("indexed_timestamp" in record for record in records)
    assert conda_pack.CondaEnv.from_prefix(str(prefix), on_missing_cache="raise").files
    assert not (builder.home / "elsewhere").exists()


def test_what_others_change_is_made_again(builder: Builder) -> None:
    builder.write("name: demo\nchannels: [{channel}]\ndependencies: [libzlib]\n")
    first = builder.run()
    next(Path(first["prefix"], "conda-meta").glob("libzlib*.json")).unlink()
    second = builder.run()
    assert second["changed"] and second["actions"] == ["make the build environment: something else changed it"]
    assert builder.prefixes() == [Path(second["prefix"]).name]


def test_a_killed_run_leaves_the_old_and_the_next_clears_up(builder: Builder) -> None:
    builder.write("name: demo\nchannels: [{channel}]\ndependencies: [libzlib]\n")
    first = builder.run()
    builder.write(SPEC)
    with builder.start() as process:
        while len(builder.prefixes()) < 2 and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    # Workers are sessions of their own: wait until nobody holds the lock.
    lock = builder.directory / ".lock"
    subprocess.run(["flock", lock, "true"], check=True, timeout=120)
    second = builder.run()
    assert first["prefix"] != second["prefix"]
    assert builder.prefixes() == [Path(second["prefix"]).name]


def test_two_runs_at_once(builder: Builder) -> None:
    builder.write("name: demo\nchannels: [{channel}]\ndependencies: [python=3.11]\n")
    with builder.start() as one, builder.start() as other:
        assert (one.wait(120), other.wait(120)) == (0, 0)
    assert len(builder.prefixes()) == 1
    assert not builder.run()["changed"]


@pytest.mark.parametrize(
    ("dependencies", "arguments", "message"),
    [
        ("[pandsa]", {}, "no channel has a package pandsa; did you mean pandas?"),
        ("[python=2.7]", {}, "cannot be satisfied together: "),
        ("[numpy]", {"virtual_packages": {"glibc": "2.5"}}, "assumed of the hosts, see virtual_packages: __glibc 2.5"),
        ("[newer-glibc]", {}, "__glibc >=2.99"),
        ("[python]", {"channels": ["/nonexistent"]}, "channel file:///nonexistent cannot be read: "),
        ("[python, pip, {{pip: [no-such-distribution-of-ours==1]}}]", {}, "pip failed (1): ERROR: "),
        ("[python, pip, six, {{pip: [six==1.15.0]}}]", {}, "pip replaced six of conda; "),
    ],
)
def test_failures_are_one_line_and_leave_nothing(
    builder: Builder, dependencies: str, arguments: dict[str, t.Any], message: str
) -> None:
    builder.write(f"name: demo\nchannels: [{{channel}}]\ndependencies: {dependencies}\n")
    result = builder.run(**arguments)
    assert message in result["msg"] and "\n" not in result["msg"]
    assert not builder.directory.exists()


def test_another_platform(builder: Builder) -> None:
    builder.write("name: demo\nchannels: [{channel}]\ndependencies: [libzlib]\n")
    said = "libzlib exists for linux-64 only, and the hosts are osx-arm64"
    assert said in builder.run(platform="osx-arm64")["msg"]


class Gate(http.server.SimpleHTTPRequestHandler):
    """Serves the channel to those who know the token."""

    def do_GET(self) -> None:
        self.path = self.path.removeprefix("/t/tk-sekret/chan") if "/t/tk-sekret/chan" in self.path else "/none"
        super().do_GET()

    do_HEAD = do_GET

    def log_message(self, *unused: t.Any) -> None:
        pass


def test_tokens_open_channels_and_are_written_nowhere(builder: Builder) -> None:
    handler = functools.partial(Gate, directory=unquote(urlsplit(builder.channel).path))
    builder.write("name: demo\nchannels: [/nowhere]\ndependencies: ['chan::libzlib', bzip2]\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://ann:pw-sekret@127.0.0.1:{server.server_port}/t/tk-sekret/chan"
        result = builder.run("-vvv", channels=[url])
        server.shutdown()
    assert result["changed"], result
    assert {package["channel"] for package in result["packages"]} == {f"http://127.0.0.1:{server.server_port}/chan"}
    assert "sekret" not in json.dumps(result)
    found = subprocess.run(["grep", "-rl", "sekret", builder.home], stdout=subprocess.PIPE, text=True, check=False)
    assert found.stdout == ""
