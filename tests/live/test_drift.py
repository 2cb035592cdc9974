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
from world import ansible, victim
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
        "mkdir -p notes/of && echo mine > notes/of/me", "unexpected: notes/of/me", ("unexpected", "notes/of/me")
    ),
    "type changed": seed(
        f"rm {SIX}; ln -s /etc/passwd {SIX}", f"six, of another type: {SIX} (file → link)", ("type-changed", SIX)
    ),
    "link retargeted": seed("ln -sf /bin/sh bin/python", "python: 1 of", ("link-retargeted", "bin/python")),
    "mode": seed(f"chmod 600 {SIX}", "six: 1 of", ("mode-changed", SIX)),
    "set-uid": seed(
        "chmod u+s bin/python3.11",
        "python, set-uid or set-gid: bin/python3.11 (0755 → 4755)",
        ("set-uid", "bin/python3.11"),
    ),
    "world-writable": seed(
        f"chmod o+w {SITE}", f"writable for everybody: {SITE} (0755 → 0757)", ("world-writable", SITE)
    ),
    "owner": seed(f"chown plain {SIX}", "six: 1 of", ("owner-changed", SIX)),
    "placeholder": seed(
        f"echo '# /h_env_placehold_placehold_placehold/lib' >> {SIX}",
        f"six, with a placeholder instead of the prefix: {SIX}",
        ("placeholder", SIX),
    ),
    "foreign prefix": seed(
        "sed -i '1s,.*,#!/home/plain/miniforge3/bin/python,' bin/pip",
        "pip, with the prefix of another environment: bin/pip",
        ("foreign-prefix", "bin/pip"),
    ),
    "start code": seed(
        f"echo 'import os' > {SITE}/zz.pth; mkdir -p etc/conda/activate.d; echo : > etc/conda/activate.d/zz.sh;"
        f" echo : > {SITE}/sitecustomize.py",
        "code that runs at start: ",
        ("start-code", f"{SITE}/zz.pth"),
        ("start-code", "etc/conda/activate.d/zz.sh"),
        ("start-code", f"{SITE}/sitecustomize.py"),
    ),
    "history": seed(
        "echo '# token=s3cret' >> conda-meta/history",
        "edited: conda-meta/history",
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


@pytest.fixture(scope="module", autouse=True)
def _driver(fleet: Fleet) -> None:
    for host in fleet.hosts:
        victim.bring(host)


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
        words = ["--check"] if options.pop("check_mode", False) else []
        asked = json.dumps({"environments": [environment], **options})
        command = [
            ansible.BIN / "ansible",
            limit,
            "-m",
            "airgap.conda.env_drift_info",
            "-a",
            asked,
            "-e",
            f"ansible_user={user}",
            *words,
        ]
        command += ["-i", self._fleet.inventory, "--tree", results]
        done = ansible.run(list(map(str, command)), cwd=self._directory, home=self._directory)
        assert done.rc == 0, done.output
        return {path.name: json.loads(path.read_text()) for path in sorted(results.iterdir())}

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


@pytest.mark.parametrize("name", SEEDS)
def test_each_kind_is_found_and_nothing_else(fleet: Fleet, tools_everywhere: Path, name: str) -> None:
    """By the hosts' half, as it runs there; the releases of Debian take turns."""
    host = fleet.hosts[list(SEEDS).index(name) % 3]
    restore(host)
    # As after a night: what the copy changed is noted.
    assert look_at(host, "quick", may_write=True)["status"] == "clean"
    host.run(f"cd {PREFIX} && {SEEDS[name].command}")
    for mode, may_write in (("quick", False), ("full", True)):
        assert_found(look_at(host, mode, may_write), SEEDS[name])


def look_at(host: Host, mode: str, may_write: bool, name: str = "tools") -> Fields:
    """What the hosts' half says, without Ansible."""
    look = {"name": name, "envs_dir": "/opt/conda/envs", "state": "present", "verify": mode, "bytecode": True}
    (row,) = victim.drive(host, {"look": look, "may_write": may_write})["environments"]
    return t.cast("Fields", row)


def test_all_kinds_together_are_all_found_again_and_again(fleet: Fleet, tools_everywhere: Path, looker: Looker) -> None:
    host = fleet.host("host1")
    restore(host)
    together = [SEEDS[name] for name in TOGETHER]
    for each in together:
        host.run(f"cd {PREFIX} && {each.command}")
    wanted = [dataclasses.replace(each, benign=set()) for each in together]
    for mode in ("quick", "full"):
        for row in (
            looker.rows(TOOLS, limit="host1", mode=mode)["host1"],
            look_at(host, mode, may_write=True),
            look_at(host, "quick", may_write=False),
        ):
            assert_found(row, *wanted)
            assert row["explanations"][0].startswith("python, set-uid or set-gid")


#: What does not hide another one.
TOGETHER = [
    name for name in SEEDS if name in {"set-uid", "foreign prefix", "start code", "history", "unexpected package"}
]
TOGETHER += ["unexpected", "world-writable", "link retargeted", "missing"]


# --- the environment as a whole -----------------------------------------------------------------------------------


def told(fleet: Fleet, looker: Looker, environment: Fields, commands: list[str], **options: t.Any) -> list[Fields]:
    """Do one thing on each host; return what is said of the hosts."""
    for host, command in zip(fleet.hosts, commands, strict=False):
        restore(host)
        host.run(command)
    return list(looker.rows(environment, **options).values())


def test_environments_that_are_gone_or_not_ours_or_half_deployed(
    fleet: Fleet, tools_everywhere: Path, looker: Looker
) -> None:
    store = "/opt/conda/envs/.airgap/tools"
    commands = [f"rm -r {PREFIX}", f"rm -r {store}", f"mkdir {store}/staging"]
    rows = told(fleet, looker, TOOLS, commands)
    assert [pairs(row["findings"]) for row in rows] == [
        {("environment-absent", "")},
        {("unknown-origin", "")},
        {("interrupted", "")},
    ]
    assert [row["explanations"] for row in rows][:2] == [
        [f"nothing is at {PREFIX}"],
        [f"{PREFIX} has no receipt of airgap.conda"],
    ]


def test_another_bundle_is_told_by_package(fleet: Fleet, tools_everywhere: Path, looker: Looker, example: Path) -> None:
    rows = told(fleet, looker, {"name": "tools", "bundle": str(example)}, [":", ":", ":"])
    for row in rows:
        assert pairs(row["findings"]) == {("wrong-generation", "")}
        assert row["wanted"] == json.loads((example / "manifest.json").read_text())["content_id"]
        assert "+ attrs 23.1.0 (pip)" in row["explanations"][0]
    for row in looker.rows({"name": "tools", "state": "absent"}).values():
        assert pairs(row["findings"]) == {("not-removed", "")}


def test_registration_that_is_gone_other_or_too_much(fleet: Fleet, tools_everywhere: Path, looker: Looker) -> None:
    link = "/usr/local/bin/python3.11"
    rows = told(fleet, looker, TOOLS, [f"rm {link}", f"ln -sfn /bin/sh {link}", ":"])
    assert [pairs(row["findings"]) for row in rows] == [
        {("registration-missing", link)},
        {("registration-altered", link)},
        set(),
    ]
    asked = {"name": "tools", "register": {"commands": ["pip"], "frozen": True}}
    (row,) = looker.rows(asked, limit="host3").values()
    assert pairs(row["findings"]) == {
        ("registration-surplus", link),
        ("registration-missing", "/usr/local/bin/pip"),
        ("registration-missing", f"{PREFIX}/conda-meta/frozen"),
        ("registration-missing", f"{PREFIX}/lib/python3.11/EXTERNALLY-MANAGED"),
    }


def test_a_user_without_rights_is_told_what_could_be_read_and_what_not(
    fleet: Fleet, tools_everywhere: Path, looker: Looker
) -> None:
    close = f"chmod 700 {PREFIX}/lib/python3.11/json && chmod 600 {PREFIX}/{SIX}"
    rows = told(fleet, looker, TOOLS, [close, f"echo x >> {PREFIX}/bin/pip", ":"], user="plain", mode="full")
    assert pairs(rows[0]["findings"]) == {("mode-changed", SIX), ("mode-changed", "lib/python3.11/json")}
    unchecked = {(each["path"], each["reason"]) for each in rows[0]["unchecked"]}
    assert unchecked == {(SIX, "Permission denied"), ("lib/python3.11/json", "Permission denied")}
    assert [row["status"] for row in rows] == ["drift", "drift", "clean"]
    assert pairs(rows[1]["findings"]) == {("modified", "bin/pip")}


def test_a_run_that_is_at_work_cannot_be_looked_at(fleet: Fleet, tools_everywhere: Path, looker: Looker) -> None:
    host = fleet.host("host3")
    restore(host)
    lock = "/opt/conda/envs/.airgap/tools/lock"
    holder = f"import fcntl, time; file = open('{lock}', 'a'); fcntl.flock(file, 2); time.sleep(600)"
    host.run(f'(python3 -c "{holder}" </dev/null >/dev/null 2>&1 & echo $! >/tmp/holder); sleep 1')
    try:
        (row,) = looker.rows(TOOLS, limit="host3").values()
    finally:
        host.run("kill $(cat /tmp/holder)")
    assert row["status"] == "unchecked"
    assert row["unchecked"] == [{"path": "", "reason": f"another run works on {PREFIX}; look again later"}]


# --- what is no drift ---------------------------------------------------------------------------------------------


def test_a_deployment_that_is_used_replaced_and_collected_stays_clean(
    fleet: Fleet, controller: Controller, looker: Looker, light_earlier: Path, light: Path
) -> None:
    """With bytecode on one host, without it on the others."""
    bytecode = {"env_deploy_bytecode": f"{{{{ inventory_hostname == '{fleet.hosts[1].name}' }}}}"}
    imports = "/opt/conda/envs/light/bin/python -c 'import attr, json.tool, email.mime.text, sqlite3'"
    for bundle in (light_earlier, light):
        done = controller.run("rollout", "-e", f"env_deploy_bundle={bundle}", "-e", json.dumps(bytecode))
        assert done.rc == 0, done.output
        assert_clean(look_at(host, "quick", False, "light") for host in fleet.hosts)
        for host in fleet.hosts:
            for _day in range(2):
                host.run(imports, user="plain")
                host.run(imports)
            host.run("/opt/conda/envs/light/bin/pip check && /opt/conda/envs/light/bin/pip list")
        assert_clean(look_at(host, "full", False, "light") for host in fleet.hosts)
        assert_clean(looker.rows({"bundle": str(bundle), "register": {}}).values())
    back = controller.run("rollback", "-e", "env_rollback_name=light")
    assert back.rc == 0 and back.changed == 3, back.output
    assert_clean(looker.rows({"bundle": str(light_earlier), "register": {}}).values())
    assert_clean(look_at(host, "full", True, "light") for host in fleet.hosts)
    forward = controller.rollout(light, "-e", "env_deploy_keep=1")
    assert forward.rc == 0 and forward.changed == 3, forward.output
    for host in fleet.hosts:
        assert host.run("ls /opt/conda/envs/.airgap/light/generations").stdout == ""
    assert_clean(look_at(host, "full", True, "light") for host in fleet.hosts)
    for host in fleet.hosts:
        host.run(f"rm -rf {TRACES}")


def assert_clean(rows: t.Iterable[Fields]) -> None:
    found = list(rows)
    assert len(found) == 3
    for row in found:
        assert (row["status"], row["findings"], row["unchecked"]) == ("clean", [], []), row
        assert {finding["kind"] for finding in row["benign"]} <= {"bytecode"}


def test_what_pip_did_is_told_as_a_package(fleet: Fleet, controller: Controller, looker: Looker, example: Path) -> None:
    controller.rollout(example, "-l", "host2")
    host = fleet.host("host2")
    site = f"/opt/conda/envs/my_env/{SITE}"
    # What pip does where it has an index: the old files go, new ones come.
    host.run(
        f"cd {site} && mv requests-2.31.0.dist-info requests-2.32.3.dist-info && "
        "sed -i s/2.31.0/2.32.3/ requests-2.32.3.dist-info/METADATA requests-2.32.3.dist-info/RECORD "
        "requests/__version__.py && /opt/conda/envs/my_env/bin/pip uninstall -qy attrs"
    )
    (row,) = looker.rows({"bundle": str(example)}, limit="host2").values()
    said = row["explanations"]
    assert any(text.startswith("requests 2.31.0 → 2.32.3, installed by pip on the host (") for text in said), said
    assert any(text.startswith("attrs 23.1.0 is gone (") for text in said), said
    assert len(said) == 2, said
    host.run(f"rm -rf {TRACES}")
