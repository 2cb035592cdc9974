# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import conda
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError

SECRET = "https://ann:pw-s3cret@mirror.example.com/t/tk-s3cret/team"
QUESTION = Question(("pandsa",), (), False, (SECRET,), "linux-64", "linux-64", ())

#: Writes down what it is given, and answers what it is told to.
RECORDER = """\
#!{python}
import json, os, stat, sys
given = os.environ["CONDARC"]
with open(given) as file:
    condarc = json.load(file)
seen = {{"words": sys.argv, "condarc": condarc, "private": stat.S_IMODE(os.stat(os.path.dirname(given)).st_mode)}}
with open({directory!r} + "/seen.json", "w") as file:
    json.dump(seen, file)
{acting}
print(open({directory!r} + "/answer").read())
sys.exit({code})
"""


class Recorder:
    """A program that stands where conda would, for none can be had on every machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def answers(self, answer: object, code: int = 0, acting: str = "") -> conda.Conda:
        program = self.directory / "conda"
        filled = {"python": sys.executable, "directory": str(self.directory), "code": code, "acting": acting}
        program.write_text(RECORDER.format(**filled))
        program.chmod(0o755)
        (self.directory / "answer").write_text(answer if isinstance(answer, str) else json.dumps(answer))
        return conda.Conda("conda", str(program), {"solver": "classic"})

    @property
    def seen(self) -> dict[str, t.Any]:
        found: dict[str, t.Any] = json.loads((self.directory / "seen.json").read_text())
        return found


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def test_a_solve_is_asked_for_and_read(recorder: Recorder) -> None:
    link = {"name": "six", "version": "1", "build_string": "0", "base_url": "https://h/c"}
    with Progress(None) as progress:
        solved = recorder.answers({"success": True, "actions": {"LINK": [link]}}).solve(QUESTION, progress)
    assert [(package["name"], package["version"]) for package in solved] == [("six", "1")]
    assert "--dry-run" in recorder.seen["words"]


def test_credentials_are_in_a_private_file_and_not_in_the_words(recorder: Recorder) -> None:
    with Progress(None) as progress:
        recorder.answers({"success": True}).solve(QUESTION, progress)
    assert "s3cret" not in json.dumps(recorder.seen["words"])
    assert "pw-s3cret" in json.dumps(recorder.seen["condarc"]) and recorder.seen["private"] == 0o700
    assert recorder.seen["condarc"]["solver"] == "classic"


@pytest.mark.parametrize("code", [0, 1])
def test_a_failure_is_one_sentence(code: int, recorder: Recorder) -> None:
    answer = {"success": False, "exception_name": "PackagesNotFoundError", "message": "…", "packages": ["pandsa"]}
    with Progress(None) as progress, pytest.raises(BuildError) as error:
        recorder.answers(answer, code).solve(QUESTION, progress)
    assert str(error.value).startswith("no channel has a package pandsa") and "s3cret" not in str(error.value)


def test_success_without_an_environment_is_none(recorder: Recorder, tmp_path: Path) -> None:
    with Progress(None) as progress, pytest.raises(BuildError, match="there is no environment there"):
        recorder.answers({"success": True}).build(QUESTION, str(tmp_path / "p"), str(tmp_path / "w"), progress)


def test_a_program_that_does_not_start_is_named(tmp_path: Path) -> None:
    program = conda.Conda("conda", str(tmp_path / "nothing"), {})
    with Progress(None) as progress, pytest.raises(BuildError, match="nothing does not start: No such file"):
        program.solve(QUESTION, progress)


def test_names_come_from_the_repodata_of_the_channels_asked_for(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for number, (url, state) in enumerate(
        [
            ("https://mirror.example.com/team/noarch/repodata.json", "info"),
            ("https://ann:pw@mirror.example.com/t/tk/team/linux-64/repodata.json", "state"),
            ("https://mirror.example.com/teams/noarch/repodata.json", "info"),
        ]
    ):
        (cache / f"{number}.json").write_text(json.dumps({"packages": {"x": {"name": f"name{number}"}}}))
        (cache / f"{number}.{state}.json").write_text(json.dumps({"url": url}))
    (cache / "9.info.json").write_text("damaged")
    assert conda.names_of_channels(str(tmp_path), [SECRET]) == {"name0", "name1"}


def test_credentials_are_taken_out_of_the_cache(tmp_path: Path, recorder: Recorder) -> None:
    packages = tmp_path / "w/conda-pkgs"
    record, other = (packages / name / "info/repodata_record.json" for name in ("six-1-0", "attrs-1-0"))
    for path in (packages / "cache/1.json", packages / "urls.txt", record):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"url": f"{SECRET}/noarch/six-1-0.conda"}))
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    before = other.stat()
    with Progress(None) as progress, pytest.raises(BuildError):
        recorder.answers("", 1).build(QUESTION, str(tmp_path / "p"), str(tmp_path / "w"), progress)
    kept = [path for path in packages.rglob("*") if path.is_file()]
    assert not any("s3cret" in path.read_text() for path in kept)
    assert json.loads(record.read_text()) == {"url": "https://mirror.example.com/team/noarch/six-1-0.conda"}
    assert (other.stat().st_ino, other.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
