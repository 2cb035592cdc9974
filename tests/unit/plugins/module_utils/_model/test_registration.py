# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import configparser
import hashlib
import json
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Health, Order, Registration
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import (
    DIRECTORY,
    FILE,
    LINE,
    LINK,
    Mark,
    Record,
    Scope,
    parse_record,
    profile_text,
    render_record,
    wanted_marks,
)

SYSTEM = Scope(system=True, home="/root", homes={"ann": "/home/ann", "bob": "/data/bob"})
USER = Scope(system=False, home="/home/ann", homes={"ann": "/home/ann"})


def order(envs_dir: str = "/srv/envs", **register: t.Any) -> Order:
    return Order("ml", envs_dir, "present", {}, "", "", "quick", True, Health(), Registration(**register))


@pytest.mark.parametrize(
    ("envs_dir", "conda_root", "scope", "path", "listed"),
    [
        (
            "/srv/envs",
            "/opt/conda",
            SYSTEM,
            "/etc/conda/condarc.d/airgap_srv_envs.yml",
            ["/opt/conda/envs", "/srv/envs"],
        ),
        ("/srv/envs", "/c", SYSTEM, "/etc/conda/condarc.d/airgap_srv_envs.yml", ["/c/envs", "/srv/envs"]),
        (
            "/home/ann/envs",
            "/opt/conda",
            USER,
            "/home/ann/.conda/condarc.d/airgap_home_ann_envs.yml",
            ["/opt/conda/envs", "/home/ann/.conda/envs", "/home/ann/envs"],
        ),
        (
            "/home/ann/.conda/envs",
            "/opt/conda",
            USER,
            "/home/ann/.conda/condarc.d/airgap_home_ann_.conda_envs.yml",
            ["/opt/conda/envs", "/home/ann/.conda/envs"],
        ),
        (
            "/" + "d" * 250,
            "/c",
            SYSTEM,
            f"/etc/conda/condarc.d/airgap-{hashlib.sha256(b'/' + b'd' * 250).hexdigest()}.yml",
            ["/c/envs", "/" + "d" * 250],
        ),
        # Not the one of /a/b, nor of /a%5Fb.
        ("/a_b", "/c", SYSTEM, "/etc/conda/condarc.d/airgap_a%5Fb.yml", ["/c/envs", "/a_b"]),
        ("/a%5Fb", "/c", SYSTEM, "/etc/conda/condarc.d/airgap_a%255Fb.yml", ["/c/envs", "/a%5Fb"]),
    ],
)
def test_conda_looks_into_its_own_directory_first(
    envs_dir: str, conda_root: str, scope: Scope, path: str, listed: list[str]
) -> None:
    (mark,) = wanted_marks(order(envs_dir, conda_root=conda_root), scope, ())
    assert (mark.kind, mark.path, mark.user) == (FILE, path, "")
    comment, key, *lines = mark.text.splitlines()
    assert comment == f"# Made by airgap.conda; removed with the last environment in {envs_dir}."
    assert key == "envs_dirs:"
    assert [json.loads(line.partition("- ")[2]) for line in lines] == listed
    assert mark.text.endswith("\n")


@pytest.mark.parametrize("scope", [SYSTEM, USER])
def test_condas_own_directory_needs_no_registration(scope: Scope) -> None:
    assert wanted_marks(order("/opt/conda/envs", conda_root="/opt/conda"), scope, ()) == []


def test_each_user_gets_a_line_of_their_own() -> None:
    _condarc, *marks = wanted_marks(order(users=("ann", "bob")), SYSTEM, ())
    assert marks == [
        Mark(LINE, "/home/ann/.conda/environments.txt", "/srv/envs/ml", "ann"),
        Mark(LINE, "/data/bob/.conda/environments.txt", "/srv/envs/ml", "bob"),
    ]


@pytest.mark.parametrize(("scope", "directory"), [(SYSTEM, "/usr/local/bin"), (USER, "/home/ann/.local/bin")])
def test_commands_are_links_where_they_are_found(scope: Scope, directory: str) -> None:
    _condarc, *marks = wanted_marks(order(commands=("tool", "other")), scope, ())
    assert marks == [
        Mark(LINK, f"{directory}/tool", "/srv/envs/ml/bin/tool"),
        Mark(LINK, f"{directory}/other", "/srv/envs/ml/bin/other"),
    ]


@pytest.mark.parametrize(("scope", "data"), [(SYSTEM, "/usr/local/share"), (USER, "/home/ann/.local/share")])
def test_jupyter_gets_a_kernel_in_a_directory_of_its_own(scope: Scope, data: str) -> None:
    _condarc, directory, kernel = wanted_marks(order(kernel=True), scope, ())
    assert directory == Mark(DIRECTORY, f"{data}/jupyter/kernels/airgap-ml", "")
    assert (kernel.kind, kernel.path) == (FILE, f"{directory.path}/kernel.json")
    told = json.loads(kernel.text)
    assert told["argv"][0] == "/srv/envs/ml/bin/python"
    assert told["display_name"] == "ml"


def test_a_kernel_has_the_variables_of_the_spec() -> None:
    _condarc, _directory, kernel = wanted_marks(order(kernel=True), SYSTEM, (), {"A": "costs $5"})
    assert json.loads(kernel.text)["env"] == {"A": "costs $$5"}


def test_a_kernel_has_a_name_that_jupyter_takes() -> None:
    _condarc, directory, _kernel = wanted_marks(order(kernel=True)._replace(name="C++_17"), SYSTEM, ())
    assert directory.path.endswith("/airgap-c-plus--plus-_17")


def test_frozen_is_told_to_conda_and_to_each_pip() -> None:
    _condarc, conda, *pips = wanted_marks(order(frozen=True), SYSTEM, ("lib/python3.11", "lib/python3.12"))
    assert conda.path == "/srv/envs/ml/conda-meta/frozen"
    assert "was deployed by airgap.conda" in json.loads(conda.text)["message"]
    assert [mark.path for mark in pips] == [
        "/srv/envs/ml/lib/python3.11/EXTERNALLY-MANAGED",
        "/srv/envs/ml/lib/python3.12/EXTERNALLY-MANAGED",
    ]
    # As pip reads it.
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(pips[0].text)
    assert parser["externally-managed"]["Error"].startswith("/srv/envs/ml was deployed by airgap.conda")


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        (Mark(FILE, "/etc/x", "text"), "write /etc/x"),
        (Mark(LINK, "/bin/x", "/p/bin/x"), "link /bin/x to /p/bin/x"),
        (Mark(LINE, "/home/x", "/p", "ann"), "add /p to /home/x"),
        (Mark(DIRECTORY, "/share/x", ""), "make /share/x"),
    ],
)
def test_what_is_done_is_said(mark: Mark, sentence: str) -> None:
    assert mark.sentence == sentence


def test_marks_are_kept_as_they_are() -> None:
    ordered = order("/srv/caf\u00e9 \udce9", users=("ann",), commands=("x",), profile=True, kernel=True, frozen=True)
    marks = wanted_marks(ordered, SYSTEM, ("lib/python3.11",))
    assert [mark.kind for mark in marks] == [FILE, LINE, FILE, LINK, DIRECTORY, FILE, FILE, FILE]
    record = Record(ordered.register, tuple(marks))
    assert parse_record(render_record(record), "here") == record


# --- the snippet for login shells -----------------------------------------------------------------------------------

SHELLS = [name for name in ("sh", "dash", "bash") if shutil.which(name)]

SHOW = 'printf "%s\\n" "$CONDA_PREFIX" "$CONDA_DEFAULT_ENV" "$PATH" "${SEEN-none}" "${_airgap_script-unset}"'


def logged_in(shell: str, snippet: Path, after: str = SHOW) -> list[str]:
    """Return what a strict *shell* prints *after* the snippet was read."""
    script = f'set -eu; . "{snippet}"; {after}'
    done = subprocess.run(
        [shell, "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture(params=["envs", "my 'odd' $HOME envs"])
def environment(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    prefix = tmp_path / str(request.param) / "ml"
    prefix.joinpath("bin").mkdir(parents=True)
    return prefix


def snippet_of(environment: Path, tmp_path: Path) -> Path:
    snippet = tmp_path / "airgap-ml.sh"
    snippet.write_text(profile_text(order(str(environment.parent), profile=True)))
    return snippet


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells_find_the_environment(environment: Path, tmp_path: Path, shell: str) -> None:
    found = logged_in(shell, snippet_of(environment, tmp_path))
    assert found == [str(environment), "ml", f"{environment}/bin:/usr/bin:/bin", "none", "unset"]


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells_read_what_packages_ask_for(environment: Path, tmp_path: Path, shell: str) -> None:
    scripts = environment / "etc/conda/activate.d"
    scripts.mkdir(parents=True)
    (scripts / "a.sh").write_text('SEEN="a $CONDA_PREFIX"\n')
    (scripts / "b.sh").write_text('SEEN="$SEEN b"\n')
    (scripts / "c.fish").write_text("exit 1\n")
    assert logged_in(shell, snippet_of(environment, tmp_path))[3] == f"a {environment} b"


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells_have_the_variables_of_the_spec(environment: Path, tmp_path: Path, shell: str) -> None:
    values = {"A": "it's $HOME `x` \\", "EMPTY": "", "SEEN": "by scripts"}
    snippet = tmp_path / "airgap-ml.sh"
    snippet.write_text(profile_text(order(str(environment.parent), profile=True), values))
    printed = logged_in(shell, snippet, 'env | grep -E "^(A|EMPTY|SEEN)="')
    assert sorted(printed) == [f"{name}={value}" for name, value in values.items()]


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells_do_without_an_environment_that_is_gone(environment: Path, tmp_path: Path, shell: str) -> None:
    environment.joinpath("bin").rmdir()
    assert logged_in(shell, snippet_of(environment, tmp_path), 'echo "${CONDA_PREFIX-none} $PATH"') == [
        "none /usr/bin:/bin"
    ]


def test_the_snippet_is_a_file_of_the_system() -> None:
    _condarc, mark = wanted_marks(order(profile=True), SYSTEM, ())
    assert mark == Mark(FILE, "/etc/profile.d/airgap-ml.sh", profile_text(order(profile=True)))
