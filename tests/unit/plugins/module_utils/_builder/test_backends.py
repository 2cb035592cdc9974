# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import backends, libraries
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with programs of all names."""
    for name in ("conda", "mamba", "micromamba", "micromamba-2.8", "our-conda"):
        (tmp_path / name).touch(mode=0o755)
    return tmp_path


def kind(asked: str, executable: str | None = None, *, path: Path, **environ: str) -> str:
    return backends.chosen(asked, executable, {"PATH": str(path), **environ}, {}).kind


@pytest.mark.parametrize(
    ("asked", "executable", "expected"),
    [
        ("auto", None, "rattler"),
        ("auto", "conda", "conda"),
        ("auto", "mamba", "mamba"),
        ("auto", "micromamba", "micromamba"),
        ("auto", "micromamba-2.8", "micromamba"),
        ("auto", "our-conda", "conda"),
        ("rattler", None, "rattler"),
        ("mamba", "our-conda", "mamba"),
        ("micromamba", None, "micromamba"),
    ],
)
def test_what_is_used(asked: str, executable: str | None, expected: str, programs: Path) -> None:
    given = str(programs / executable) if executable else None
    assert kind(asked, given, path=programs) == expected


def test_without_the_library_a_program_that_is_there_is_used(
    programs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "complaint", lambda: "py-rattler is missing")
    assert kind("auto", path=programs) == "conda"
    (programs / "conda").unlink()
    assert kind("auto", path=programs) == "mamba"
    # None is there either; the module says which library is missing.
    nothing = tmp_path_factory.mktemp("nothing")
    assert kind("auto", path=nothing) == "rattler"
    assert kind("auto", path=nothing, MAMBA_EXE=str(programs / "micromamba")) == "micromamba"


@pytest.mark.parametrize(
    ("asked", "executable", "said"),
    [
        ("conda", None, "backend conda: there is no program conda, which is not in PATH on the builder"),
        ("auto", "/nowhere/mamba", "backend mamba: there is no program /nowhere/mamba on the builder"),
        ("rattler", "/bin/conda", "conda_exe names /bin/conda, and backend is rattler"),
    ],
)
def test_refusals(asked: str, executable: str | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as error:
        kind(asked, executable, path=tmp_path)
    assert str(error.value).startswith(said)
