# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of a module, run as ansible-doc shows them, and what it says that it returns."""

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import yaml

from . import ansible

#: Of every module, and documented by Ansible.
COMMON = {"changed", "failed", "diff", "warnings", "deprecations", "msg"}

Fields = t.Dict[str, t.Any]


def documented(module: str) -> Fields:
    words = [str(ansible.BIN / "ansible-doc"), "--json", f"airgap.conda.{module}"]
    return t.cast(Fields, json.loads(subprocess.check_output(words))[f"airgap.conda.{module}"])


def run(module: str, directory: Path, *arguments: str, **environment: str) -> list[Fields]:
    """Run the examples of a module as one play; return their results."""
    tasks = yaml.safe_load(documented(module)["examples"])
    for number, task in enumerate(tasks):
        task.setdefault("register", f"result{number}")
    ours = [task["register"] for task in tasks if f"airgap.conda.{module}" in task]
    content = f"{{{{ [{', '.join(ours)}] | to_json }}}}"
    keep = {"content": content, "dest": str(directory / "results.json"), "mode": "0600"}
    tasks.append({"name": "Keep the results", "ansible.builtin.copy": keep, "delegate_to": "localhost", "diff": False})
    hosts = "localhost" if not arguments else "all"
    play = [{"name": module, "hosts": hosts, "gather_facts": False, "tasks": tasks}]
    (directory / "examples.yml").write_text(yaml.safe_dump(play, sort_keys=False))
    done = ansible.play("examples.yml", *arguments, cwd=directory, home=directory, **environment)
    assert done.rc == 0 and done.recap[next(iter(done.recap))]["ok"] == len(tasks), done.output
    return t.cast("list[Fields]", json.loads((directory / "results.json").read_text()))


def keys(result: t.Any, above: str = "") -> Iterator[str]:
    """The keys of a result, at any depth, as a path."""
    for name, value in result.items():
        yield f"{above}{name}"
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from keys(item, f"{above}{name}.")


def described(returned: Fields, above: str = "") -> Iterator[str]:
    for name, fields in returned.items():
        yield f"{above}{name}"
        yield from described(fields.get("contains") or {}, f"{above}{name}.")


def assert_as_documented(module: str, results: list[Fields]) -> None:
    found = {key for result in results for key in keys(result) if key.partition(".")[0] not in COMMON}
    assert found == set(described(documented(module)["return"]))
