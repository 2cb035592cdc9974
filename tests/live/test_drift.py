# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of drift, seeded on real hosts, is found: exactly that, none missed and none invented."""

from __future__ import annotations

import dataclasses
import json
import shutil
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from world import ansible
from world.controller import Controller
from world.fleet import Fleet, Host

PREFIX = "/opt/conda/envs/tools"
SITE = "lib/python3.11/site-packages"
SIX = f"{SITE}/six.py"
WITH_BYTECODE = ("-e", "env_deploy_bytecode=true")
#: What a test may have put outside of the prefix.
TRACES = "/opt/conda /srv/pristine /etc/conda /usr/local/bin/python3.11 /home/plain/envs /home/plain/.conda"

Fields = t.Dict[str, t.Any]
Found = t.Set[t.Tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Seed:
    """What somebody does to a host, in the prefix, and what is to be said of it."""

    command: str
    findings: Found
    #: The worst, in words.
    words: str
    benign: Found = dataclasses.field(default_factory=set)


def seed(command: str, words: str, *findings: tuple[str, str], benign: t.Iterable[tuple[str, str]] = ()) -> Seed:
    return Seed(command, set(findings), words, set(benign))


REWRITE = f"touch -r {SIX} /tmp/times; sed -i 's/Benjamin/benjamin/' {SIX}; touch -r /tmp/times {SIX}"
RECORD = "conda-meta/$(basename conda-meta/six-*.json)"
SEEDS = {
    "modified": seed(f"echo '# x' >> {SIX}", "six: 1 of", ("modified", SIX)),
    "modified, size and time restored": seed(REWRITE, "six: 1 of", ("modified", SIX)),
    "missing": seed(f"rm {SIX}", "six: 1 of", ("missing", SIX)),
    "unexpected": seed(
        "mkdir -p notes/of && echo mine > notes/of/me", "notes/of/me unexpected", ("unexpected", "notes/of/me")
    ),
    "type changed": seed(f"rm {SIX}; ln -s /etc/passwd {SIX}", f"six: {SIX} (file → link)", ("type-changed", SIX)),
    "link retargeted": seed("ln -sf /bin/sh bin/python", "python: 1 of", ("link-retargeted", "bin/python")),
    "mode": seed(f"chmod 600 {SIX}", "six: 1 of", ("mode-changed", SIX)),
    "set-uid": seed(
        "chmod u+s bin/python3.11", "python: bin/python3.11 (0755 → 4755) set-uid", ("set-uid", "bin/python3.11")
    ),
    "world-writable": seed(
        f"chmod o+w {SITE}", f"{SITE} (0755 → 0757) writable for everybody", ("world-writable", SITE)
    ),
    "owner": seed(f"chown plain {SIX}", "six: 1 of", ("owner-changed", SIX)),
    "placeholder": seed(
        f"echo '# /h_env_placehold_placehold_placehold/lib' >> {SIX}",
        f"six: {SIX} with a placeholder",
        ("placeholder", SIX),
    ),
    "foreign prefix": seed(
        "sed -i '1s,.*,#!/home/plain/miniforge3/bin/python,' bin/pip",
        "pip: bin/pip with the prefix of another environment",
        ("foreign-prefix", "bin/pip"),
    ),
    "start code": seed(
        f"echo 'import os' > {SITE}/zz.pth; mkdir -p etc/conda/activate.d; echo : > etc/conda/activate.d/zz.sh;"
        f" echo : > {SITE}/sitecustomize.py",
        "run at start",
        ("start-code", f"{SITE}/zz.pth"),
        ("start-code", "etc/conda/activate.d/zz.sh"),
        ("start-code", f"{SITE}/sitecustomize.py"),
    ),
    "history": seed(
        "echo '# token=s3cret' >> conda-meta/history",
        "conda-meta/history edited",
        ("conda-meta-edited", "conda-meta/history"),
    ),
    "unexpected package": seed(
        f"cd {SITE}; mkdir foo-1.0.dist-info; echo pip > foo-1.0.dist-info/INSTALLER; echo 'VALUE = 1' > foo.py;"
        " printf '%s,,\\n' foo.py foo-1.0.dist-info/RECORD foo-1.0.dist-info/INSTALLER > foo-1.0.dist-info/RECORD",
        "unexpected package foo 1.0, installed by pip on the host (3 files)",
        ("unexpected", f"{SITE}/foo.py"),
        ("unexpected", f"{SITE}/foo-1.0.dist-info/RECORD"),
        ("unexpected", f"{SITE}/foo-1.0.dist-info/INSTALLER"),
    ),
    "caches, times and folders": seed(
        f"touch {SIX}; mkdir -p empty/folder; bin/python -c 'import json.tool' && touch -d 2020-01-01 lib/libz.so.1",
        "",
        benign=[("touched", SIX), ("empty-folder", "empty"), ("empty-folder", "empty/folder")],
    ),
}


@pytest.fixture(scope="module")
def tools_everywhere(fleet: Fleet, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small environment on every host, with bytecode and a command; and a copy from which each test begins."""
    home = tmp_path_factory.mktemp("home")
    done = Controller(fleet, home).rollout(tools, *WITH_BYTECODE, *COMMANDS)
    assert done.rc == 0, done.output
    for host in fleet.hosts:
        host.run("cp -a /opt/conda /srv/pristine")
    yield tools
    for host in fleet.hosts:
        host.run(f"rm -rf {TRACES}")


COMMANDS = ("-e", json.dumps({"env_deploy_register_commands": ["python3.11"]}))


def restore(host: Host) -> None:
    host.run(
        "rm -rf /opt/conda && cp -a /srv/pristine /opt/conda && ln -sfn " + PREFIX + "/bin/python3.11 /usr/local/bin"
    )


class Looker:
    """Somebody who asks hosts of the fleet about drift."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self._fleet = fleet
        self._directory = directory

    def look(
        self, environment: Fields, limit: str = "fleet", user: str = "root", **options: t.Any
    ) -> dict[str, Fields]:
        """By host, what the module returns."""
        results = self._directory / "results"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        check_mode = options.pop("check_mode", False)
        tasks: list[Fields] = [
            {
                "airgap.conda.env_drift_info": {"environments": [environment], **options},
                "register": "found",
                "check_mode": check_mode,
            },
            {
                "ansible.builtin.copy": {
                    "content": "{{ found | to_json }}",
                    "dest": f"{results}/{{{{ inventory_hostname }}}}",
                },
                "delegate_to": "localhost",
            },
        ]
        play = [{"hosts": limit, "gather_facts": False, "tasks": tasks, "vars": {"ansible_user": user}}]
        (self._directory / "look.yml").write_text(yaml.safe_dump(play))
        done = ansible.play("look.yml", "-i", self._fleet.inventory, cwd=self._directory, home=self._directory)
        assert done.rc == 0, done.output
        return {path.name: json.loads(path.read_text()) for path in results.iterdir()}

    def rows(self, environment: Fields, **options: t.Any) -> dict[str, Fields]:
        """What is said of one environment, by host."""
        found = {}
        for name, result in self.look(environment, **options).items():
            (found[name],) = result["environments"]
            assert not result["changed"] and result["status"] == found[name]["status"]
        return found


@pytest.fixture
def looker(fleet: Fleet, tmp_path: Path) -> Looker:
    return Looker(fleet, tmp_path)


TOOLS = {"name": "tools"}


def pairs(findings: list[Fields]) -> Found:
    return {(finding["kind"], finding["path"]) for finding in findings}


def assert_found(row: Fields, *seeds: Seed) -> None:
    """Everything that was seeded is found, and nothing else."""
    assert pairs(row["findings"]) == set().union(*(each.findings for each in seeds))
    assert len(row["findings"]) == len(pairs(row["findings"]))
    assert pairs(row["benign"]) >= set().union(*(each.benign for each in seeds))
    assert row["status"] == ("drift" if row["findings"] else "clean")
    assert row["unchecked"] == []
    said = "\n".join(row["explanations"])
    if len(seeds) == 1:
        assert seeds[0].words in said
    assert "s3cret" not in json.dumps(row)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 3))
def test_each_kind_is_found_and_nothing_else(fleet: Fleet, tools_everywhere: Path, looker: Looker, first: int) -> None:
    """Three at a time, each on a host of its own."""
    seeded = dict(zip([host.name for host in fleet.hosts], list(SEEDS.values())[first : first + 3], strict=False))
    for host in fleet.hosts:
        restore(host)
    # As after a night: what the copy changed is noted.
    assert all(row["status"] == "clean" for row in looker.rows(TOOLS).values())
    for name, each in seeded.items():
        fleet.host(name).run(f"cd {PREFIX} && {each.command}")
    for options in ({"check_mode": True}, {"mode": "full"}):
        rows = looker.rows(TOOLS, **options)
        for name, each in seeded.items():
            assert_found(rows[name], each)


def test_all_kinds_together_are_all_found_again_and_again(fleet: Fleet, tools_everywhere: Path, looker: Looker) -> None:
    host = fleet.host("host1")
    restore(host)
    together = [SEEDS[name] for name in TOGETHER]
    for each in together:
        host.run(f"cd {PREFIX} && {each.command}")
    for options in ({}, {}, {"mode": "full"}, {}):
        row = looker.rows(TOOLS, limit="host1", **options)["host1"]
        assert_found(row, *(dataclasses.replace(each, benign=set()) for each in together))
        assert row["explanations"][0].endswith("set-uid or set-gid")


#: What does not hide another one.
TOGETHER = [
    name for name in SEEDS if name in {"set-uid", "foreign prefix", "start code", "history", "unexpected package"}
]
TOGETHER += ["unexpected", "world-writable", "link retargeted", "missing"]
