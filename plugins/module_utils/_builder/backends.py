# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Which solver is used: the embedded one, or a program that the user configured."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import condarc, libraries, rattler
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda import Conda
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_command import KINDS
from ansible_collections.airgap.conda.plugins.module_utils._builder.isolation import isolated
from ansible_collections.airgap.conda.plugins.module_utils._builder.networking import network
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials

AUTO, RATTLER = "auto", "rattler"
CHOICES = (AUTO, RATTLER, *KINDS)

_SOLVER = "the solver (py-rattler)"


class Backend(t.Protocol):
    """What solves and installs."""

    kind: str

    def solve(self, question: Question, progress: Progress) -> list[dict[str, str]]:
        """Return the packages of the solution as JSON; nothing stays."""

    def build(self, question: Question, prefix: str, workdir: str, progress: Progress) -> None:
        """Solve, and install the solution at *prefix*; what is fetched stays below *workdir*."""


class Embedded:
    """py-rattler, told what the user configured for conda."""

    kind = RATTLER

    def __init__(self, settings: condarc.Settings) -> None:
        self._settings = settings

    def solve(self, question: Question, progress: Progress) -> list[dict[str, str]]:
        """Return the packages of the solution as JSON; nothing stays."""
        reached = network(self._settings, os.environ, question.channels)
        with tempfile.TemporaryDirectory(prefix="airgap-conda-") as cache:
            solved = isolated(_SOLVER, lambda events: rattler.solve(question, reached, cache, events), progress)
        return t.cast("list[dict[str, str]]", solved)

    def build(self, question: Question, prefix: str, workdir: str, progress: Progress) -> None:
        """Solve, and install the solution at *prefix*; what is fetched stays below *workdir*."""
        reached = network(self._settings, os.environ, question.channels)
        with _repodata(question, workdir) as repodata:
            caches = rattler.Caches(os.path.join(workdir, "pkgs"), repodata)
            isolated(_SOLVER, lambda events: rattler.build(question, reached, prefix, caches, events), progress)


@contextlib.contextmanager
def _repodata(question: Question, workdir: str) -> t.Iterator[str]:
    """Yield the directory of the repodata cache; its entries hold addresses, so it is kept only without credentials."""
    if any(map(credentials, question.channels)):
        with tempfile.TemporaryDirectory(prefix="airgap-conda-") as passing:
            yield passing
    else:
        kept = os.path.join(workdir, "repodata")
        os.makedirs(kept, exist_ok=True)
        yield kept


def chosen(asked: str, executable: str | None, environ: t.Mapping[str, str], settings: condarc.Settings) -> Backend:
    """Return the backend that is *asked* for; C(auto) is the named *executable*, else what there is."""
    if asked == AUTO:
        asked = _kind_of(executable) if executable else _found(environ)
    if asked == RATTLER:
        if executable:
            raise BuildError(f"conda_exe names {executable}, and backend is rattler; leave one of the two out")
        return Embedded(settings)
    return Conda(asked, _program(asked, executable, environ), settings)


def _kind_of(executable: str) -> str:
    """Tell a program by its name, as all of them can be linked to."""
    name = os.path.basename(executable)
    return next((kind for kind in reversed(KINDS) if name.startswith(kind)), KINDS[0])


def _found(environ: t.Mapping[str, str]) -> str:
    """Return the embedded solver where its library is there, else the first program that is."""
    if not libraries.complaint():
        return RATTLER
    return next((kind for kind in KINDS if _which(kind, environ)), RATTLER)


def _program(kind: str, executable: str | None, environ: t.Mapping[str, str]) -> str:
    found = shutil.which(os.path.expanduser(executable)) if executable else _which(kind, environ)
    if not found:
        looked = executable or f"{kind}, which is not in PATH"
        raise BuildError(f"backend {kind}: there is no program {looked} on the builder; name it in conda_exe")
    return os.path.abspath(found)


def _which(kind: str, environ: t.Mapping[str, str]) -> str | None:
    """Return the program that the user's shell was set up for, else the one in PATH."""
    known = [environ.get(name, "") for name in ("CONDA_EXE", "MAMBA_EXE")]
    ours = [path for path in known if os.path.basename(path) == kind and os.access(path, os.X_OK)]
    return ours[0] if ours else shutil.which(kind, path=environ.get("PATH"))
