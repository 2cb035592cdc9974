# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host.registering import (
    Registrar,
    findings,
    is_there,
    scope_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Health, Order, Registration
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import (
    DIRECTORY,
    FILE,
    LINE,
    LINK,
    Mark,
    Scope,
    named_marks,
)

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "envs"), "ml")
    store.create()
    return store


@pytest.fixture
def registrar(store: Store) -> Registrar:
    return Registrar(store)


@pytest.fixture
def marks(tmp_path: Path) -> list[Mark]:
    """One mark of each kind, in directories that are not there yet."""
    return [
        Mark(FILE, str(tmp_path / "etc/condarc.d/airgap.yml"), "envs_dirs: []\n"),
        Mark(LINK, str(tmp_path / "usr/bin/tool"), f"{tmp_path}/envs/ml/bin/tool"),
        Mark(LINE, str(tmp_path / "home/.conda/environments.txt"), "/envs/ml", ME),
    ]


def modes(top: Path) -> set[int]:
    return {stat.S_IMODE(path.lstat().st_mode) for path in top.rglob("*") if not path.is_symlink()}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_marks_are_put_for_all_to_read_whatever_the_umask(
    registrar: Registrar, marks: list[Mark], tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        registrar.apply(marks[:2])
    finally:
        os.umask(before)
    assert all(map(is_there, marks[:2]))
    assert modes(tmp_path / "etc") == {0o755, 0o644}
    assert modes(tmp_path / "usr") == {0o755}
    assert registrar.recorded() == marks[:2]


def test_a_second_run_writes_nothing(registrar: Registrar, marks: list[Mark], store: Store, tmp_path: Path) -> None:
    registrar.apply(marks)
    before = {path: path.lstat().st_ino for path in tmp_path.rglob("*")}
    registrar.apply(marks)
    assert {path: path.lstat().st_ino for path in tmp_path.rglob("*")} == before


def test_marks_that_are_not_wanted_any_more_are_taken_away(registrar: Registrar, marks: list[Mark]) -> None:
    registrar.apply(marks)
    assert registrar.surplus(marks[1:]) == marks[:1]
    registrar.apply(marks[1:])
    assert [is_there(mark) for mark in marks] == [False, True, True]
    assert registrar.recorded() == marks[1:]


def test_a_directory_goes_with_what_is_in_it_unless_others_put_something_there(
    registrar: Registrar, tmp_path: Path
) -> None:
    marks = [
        Mark(DIRECTORY, str(tmp_path / "kernels/ml"), ""),
        Mark(FILE, str(tmp_path / "kernels/ml/kernel.json"), "{}"),
    ]
    registrar.apply(marks)
    assert all(map(is_there, marks)) and modes(tmp_path / "kernels") == {0o755, 0o644}
    registrar.apply(())
    assert os.listdir(tmp_path / "kernels") == [] and registrar.recorded() == []
    registrar.apply(marks)
    (tmp_path / "kernels/ml/logo.svg").touch()
    registrar.apply(())
    assert os.listdir(tmp_path / "kernels/ml") == ["logo.svg"]


def test_a_mark_that_says_something_else_now_is_written_anew(registrar: Registrar, marks: list[Mark]) -> None:
    registrar.apply(marks)
    changed = [mark._replace(text=mark.text.strip() + "2") for mark in marks]
    registrar.apply(changed)
    assert all(map(is_there, changed))
    assert not any(map(is_there, marks))


def test_marks_that_someone_changed_are_put_again_but_not_taken(registrar: Registrar, marks: list[Mark]) -> None:
    file, link, _line = marks
    registrar.apply(marks)
    Path(file.path).write_text("mine")
    Path(link.path).unlink()
    Path(link.path).symlink_to("/bin/sh")
    for mark in marks:
        registrar.take(mark)
    assert (Path(file.path).read_text(), os.readlink(link.path)) == ("mine", "/bin/sh")
    registrar.apply(marks)
    assert all(map(is_there, marks))


def test_what_an_interrupted_run_left_is_in_nobodys_way(registrar: Registrar, marks: list[Mark]) -> None:
    for mark in marks:
        Path(mark.path).parent.mkdir(parents=True)
        Path(f"{mark.path}.new").symlink_to("/nonexistent")
    registrar.apply(marks)
    assert all(map(is_there, marks))


# --- lines of files that are others' --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "with_it", "without"),
    [
        (None, b"/envs/ml\n", b""),
        (b"", b"/envs/ml\n", b""),
        (b"/a\n", b"/a\n/envs/ml\n", b"/a\n"),
        (b"/a", b"/a\n/envs/ml\n", b"/a\n"),
        (b"/a\r\n", b"/a\r\n/envs/ml\n", b"/a\r\n"),
        (b"/envs/ml-tools\n", b"/envs/ml-tools\n/envs/ml\n", b"/envs/ml-tools\n"),
        (b"/a\n/envs/ml\n/b\n", b"/a\n/envs/ml\n/b\n", b"/a\n/b\n"),
        (b"/envs/ml\r\n/b\n/envs/ml", b"/envs/ml\r\n/b\n/envs/ml", b"/b\n"),
        (b"/caf\xe9\n", b"/caf\xe9\n/envs/ml\n", b"/caf\xe9\n"),
        (b"/a\xe2\x80\xa8/envs/ml\n", b"/a\xe2\x80\xa8/envs/ml\n/envs/ml\n", b"/a\xe2\x80\xa8/envs/ml\n"),
    ],
)
def test_a_line_comes_and_goes_and_all_others_stay(
    registrar: Registrar, marks: list[Mark], before: bytes | None, with_it: bytes, without: bytes
) -> None:
    line = marks[2]
    path = Path(line.path)
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(before)
    registrar.apply([line])
    assert path.read_bytes() == with_it
    registrar.take(line)
    assert path.read_bytes() == without


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
def test_a_line_is_written_as_its_user(registrar: Registrar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of_nobody(tmp_path, monkeypatch)
    line = Mark(LINE, "home/.conda/environments.txt", "/envs/ml", "nobody")
    registrar.apply([line])
    assert {path.owner() for path in home.rglob("*")} == {"nobody"}
    assert os.geteuid() == 0 == os.getegid()
    Path(line.path).chmod(0o600)
    registrar.take(line)
    assert Path(line.path).read_text() == ""
    assert stat.S_IMODE(os.stat(line.path).st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_nothing_in_a_home_directory_sends_root_elsewhere(
    registrar: Registrar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    home = home_of_nobody(tmp_path, monkeypatch)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret").chmod(mode)
    (home / ".conda").symlink_to("../secret")
    groups = os.getgroups()
    os.setgroups([0])
    try:
        with pytest.raises(PermissionError):
            registrar.apply([Mark(LINE, "home/.conda/environments.txt", "/envs/ml", "nobody")])
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, [0])
    finally:
        os.setgroups(groups)
    assert os.listdir(tmp_path / "secret") == []


def home_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home that is reached from the working directory: those above are closed to others."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    account = pwd.getpwnam("nobody")
    os.chown(home, account.pw_uid, account.pw_gid)
    return home


# --- several environments -------------------------------------------------------------------------------------------


def test_a_mark_that_another_environment_needs_stays(registrar: Registrar, marks: list[Mark], store: Store) -> None:
    other = Registrar(Store(store.envs_dir, "other"))
    Store(store.envs_dir, "other").create()
    registrar.apply(marks)
    other.apply(marks[:1])
    registrar.apply([])
    assert [is_there(mark) for mark in marks] == [True, False, False]
    other.apply([])
    assert not any(map(is_there, marks))


def test_marks_stay_where_it_cannot_be_told_who_needs_them(
    registrar: Registrar, marks: list[Mark], store: Store
) -> None:
    other = Store(store.envs_dir, "other")
    other.create()
    registrar.apply(marks)
    Path(other.registration).write_text("{")
    registrar.apply([])
    assert [is_there(mark) for mark in marks] == [True, True, True]


def test_a_kernel_or_profile_of_another_environment_is_not_replaced(tmp_path: Path) -> None:
    scope = Scope(False, str(tmp_path), {})
    mine, other = order("/envs", kernel=True), order("/others", kernel=True)
    marks = named_marks(other, scope)
    assert findings(mine, scope) == []
    for mark in marks:
        path = Path(mark.path)
        path.mkdir(parents=True) if mark.kind == DIRECTORY else path.write_text(mark.text)
    assert findings(other, scope) == []
    assert findings(mine, scope) == [
        f"{marks[-1].path} exists and is not of /envs/ml; move it away or give one of the two another name"
    ]
    # What somebody changed of our own is put right.
    assert findings(mine, scope, named_marks(mine, scope)) == []


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"register": {}, "marks": [["file"]]}',
        '{"register": {}, "marks": [["socket", "a", "b", ""]]}',
    ],
)
def test_a_damaged_record_is_told(registrar: Registrar, store: Store, text: str) -> None:
    Path(store.registration).write_text(text)
    with pytest.raises(BundleError, match=r"registration\.json: the record of registration is damaged \(.*remove it"):
        registrar.recorded()


# --- who registers --------------------------------------------------------------------------------------------------


def order(envs_dir: str = "/envs", **register: t.Any) -> Order:
    return Order("ml", envs_dir, "present", {}, "", "", "quick", True, Health(), Registration("/", **register))


def test_the_scope_is_that_of_who_deploys() -> None:
    scope = scope_of(order(users=(ME,)))
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert scope == Scope(system=os.geteuid() == 0, home=home, homes={ME: home})


def test_a_user_without_account_is_told() -> None:
    with pytest.raises(DeployError, match="env_deploy_register_users names no-such-user, who has no account"):
        scope_of(order(users=("no-such-user",)))


def test_a_uid_without_account_is_told() -> None:
    with pytest.raises(DeployError, match="uid 54321 has no account on this host"):
        scope_of(order(), 54321)


def test_a_plain_user_registers_for_no_one_else(tmp_path: Path) -> None:
    scope = Scope(system=False, home=str(tmp_path), homes={"ann": "/home/ann", ME: str(tmp_path)})
    assert findings(order(profile=True, users=(ME, "ann")), scope) == [
        "env_deploy_register_profile writes /etc/profile.d; use become",
        "env_deploy_register_users names ann; only root registers for others, use become",
    ]
    assert findings(order(users=(ME,)), scope) == []


@pytest.mark.parametrize(
    ("make", "free"),
    [
        (lambda path: path.write_text("mine"), False),
        (lambda path: path.symlink_to("/usr/bin/tool"), False),
        (lambda path: path.symlink_to("/envs/ml-tools/bin/tool"), False),
        (lambda path: path.symlink_to("/envs/ml/bin/tool"), True),
        (lambda path: path.symlink_to("/envs/ml/bin/gone"), True),
        (lambda path: None, True),
    ],
)
def test_a_command_of_someone_else_is_not_replaced(
    tmp_path: Path, make: t.Callable[[Path], object], free: bool
) -> None:
    path = tmp_path / ".local/bin/tool"
    path.parent.mkdir(parents=True)
    make(path)
    found = findings(order(commands=("tool",)), Scope(False, str(tmp_path), {}))
    assert found == (
        [] if free else [f"{path} exists and is not ours; move it away or leave it out of env_deploy_register_commands"]
    )


def test_marks_are_looked_at_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\r\ntwo\n")
    assert not is_there(Mark(FILE, str(path), "one\ntwo\n"))
    assert is_there(Mark(FILE, str(path), "one\r\ntwo\n"))
    assert not is_there(Mark(FILE, str(tmp_path), "one\n"))
    assert not is_there(Mark(FILE, str(tmp_path / "missing"), ""))
