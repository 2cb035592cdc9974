# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The solver of the user's choice: conda, mamba or micromamba, by executable."""

from __future__ import annotations

import glob
import json
import mmap
import os
import re
import subprocess
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_command, condarc
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_answer import (
    Answer,
    failure,
    packages_of,
    parsed,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials, without_credentials

#: Seconds between two signs of life.
PULSE = 15

_NAME = re.compile(rb'"name":\s*"([^"]+)"')


class Conda:
    """A program on the builder that speaks conda's command line, and the user's configuration of it."""

    def __init__(self, kind: str, executable: str, settings: condarc.Settings) -> None:
        self.kind = kind
        self._executable = executable
        self._settings = settings

    def solve(self, question: Question, progress: Progress) -> list[dict[str, str]]:
        """Return the packages of the solution as JSON; nothing stays."""
        with tempfile.TemporaryDirectory(prefix="airgap-conda-") as directory:
            # With a cache that is empty it tells all of each package, as all would have to be fetched.
            answer = self._run(question, os.path.join(directory, "prefix"), directory, progress, dry=True)
        return [package.to_json() for package in packages_of(answer)]

    def build(self, question: Question, prefix: str, workdir: str, progress: Progress) -> None:
        """Solve, and install the solution at *prefix*; what is fetched stays below *workdir*."""
        packages = os.path.join(workdir, "conda-pkgs")
        os.makedirs(packages, exist_ok=True)
        try:
            self._run(question, prefix, packages, progress, dry=False)
        finally:
            if any(map(credentials, question.channels)):
                forget_credentials(packages)
        if not os.path.isdir(os.path.join(prefix, "conda-meta")):
            raise BuildError(f"{self.kind} said that it installed at {prefix}, and there is no environment there")

    def _run(self, question: Question, prefix: str, packages: str, progress: Progress, *, dry: bool) -> Answer:
        conda_command.refuse_others(question, self.kind)
        command = conda_command.words(self.kind, self._executable, question, prefix, dry=dry)
        progress.say(f"{self.kind}: solving {len(question.dependencies)} dependencies for {question.platform}")
        with tempfile.TemporaryDirectory(prefix="airgap-conda-") as directory:
            path = os.path.join(directory, "condarc.yml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(conda_command.condarc_text(self._settings, question))
            environment = conda_command.variables(os.environ, question, path, packages)
            code, output = _execute(self.kind, command, environment, progress)
        answer = parsed(output)
        if code or not answer.get("success"):
            known = names_of_channels(packages, question.channels)
            raise BuildError(failure(self.kind, code, output, question, known))
        return answer


def _execute(kind: str, command: list[str], environment: dict[str, str], progress: Progress) -> tuple[int, str]:
    """Run *command* with signs of life; return its exit code and what it printed."""
    with tempfile.TemporaryFile() as output:
        try:
            # run_command would give no sign of life.
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise BuildError(f"{command[0]} does not start: {error.strerror}") from error
        with process:
            waited = 0
            while process.poll() is None:
                try:
                    process.wait(PULSE)
                except subprocess.TimeoutExpired:
                    waited += PULSE
                    progress.say(f"{kind}: still solving and installing after {waited} s")
        output.seek(0)
        return process.returncode, output.read().decode(errors="replace")


def names_of_channels(packages: str, channels: t.Iterable[str]) -> set[str]:
    """Return the names of all packages that the repodata of *channels*, in the cache *packages*, has."""
    addresses = tuple(f"{without_credentials(url)}/" for url in channels)
    found: set[str] = set()
    for path in glob.glob(f"{glob.escape(packages)}/cache/*.json"):
        repodata = re.sub(r"\.(info|state)\.json$", ".json", path)
        if repodata != path and os.path.isfile(repodata) and _address(path).startswith(addresses):
            with open(repodata, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                found.update(name[1].decode() for name in _NAME.finditer(text))
    return found


def _address(path: str) -> str:
    """Return where repodata is from, as the file *path* beside it says."""
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError):
        return ""
    return without_credentials(str(state.get("url") or state.get("_url") or ""))


def forget_credentials(packages: str) -> None:
    """Take out of the cache *packages* what addresses with credentials are in; what was fetched stays."""
    for path in glob.glob(f"{glob.escape(packages)}/cache/*"):
        os.unlink(path)
    listed = [os.path.join(packages, name) for name in ("urls", "urls.txt")]
    records = glob.glob(f"{glob.escape(packages)}/*/info/repodata_record.json")
    for path in filter(os.path.isfile, [*listed, *records]):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if credentials(text):
            replacement = f"{path}.new"
            with open(replacement, "w", encoding="utf-8") as file:
                file.write(without_credentials(text))
            os.replace(replacement, path)
