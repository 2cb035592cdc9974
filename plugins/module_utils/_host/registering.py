# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Register: put the marks of registration on this host, and take away those no longer wanted."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, write_whole
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError, DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Order, Registration
from ansible_collections.airgap.conda.plugins.module_utils._model.registration import (
    DIRECTORY,
    FILE,
    LINE,
    LINK,
    Mark,
    Record,
    Scope,
    named_marks,
    parse_record,
    render_record,
)

_DIRECTORY_MODE = 0o755


def scope_of(order: Order, uid: t.Optional[int] = None) -> Scope:
    """Return whose registration *uid*, or this process, makes; C(DeployError) for a user that does not exist."""
    me = _account(os.geteuid() if uid is None else uid)
    homes = {}
    for user in order.register.users:
        try:
            homes[user] = pwd.getpwnam(user).pw_dir
        except KeyError:
            raise DeployError(f"env_deploy_register_users names {user}, who has no account on this host") from None
    return Scope(system=me.pw_uid == 0, home=me.pw_dir, homes=homes)


def _account(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise DeployError(f"uid {uid} has no account on this host, so no home; deploy as a user who has one") from None


def findings(order: Order, scope: Scope, recorded: t.Collection[Mark] = ()) -> list[str]:
    """Return what keeps this process from registering *order*, of which earlier runs *recorded* marks."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    found = []
    if not scope.system and order.register.profile:
        found.append("env_deploy_register_profile writes /etc/profile.d; use become")
    others = [user for user in order.register.users if user != me]
    if not scope.system and others:
        found.append(f"env_deploy_register_users names {', '.join(others)}; only root registers for others, use become")
    ours = {mark.path for mark in recorded}
    for mark in named_marks(order, scope):
        if mark.kind == LINK and os.path.lexists(mark.path) and not _points_into(mark.path, order.prefix):
            found.append(
                f"{mark.path} exists and is not ours; move it away or leave it out of env_deploy_register_commands"
            )
        elif mark.kind == FILE and os.path.lexists(mark.path) and mark.path not in ours and not is_there(mark):
            found.append(
                f"{mark.path} exists and is not of {order.prefix}; move it away or give one of the two another name"
            )
    return found


def _points_into(path: str, prefix: str) -> bool:
    return os.path.islink(path) and os.readlink(path).startswith(prefix + "/")


class Registrar:
    """Registration of one environment."""

    def __init__(self, store: Store, register: Registration | None = None) -> None:
        self._store = store
        self._register = register or Registration()

    def record(self) -> Record:
        """Return what earlier runs were asked for, and put."""
        try:
            with open(self._store.registration, "rb") as file:
                return parse_record(file.read(), self._store.registration)
        except FileNotFoundError:
            return Record()

    def recorded(self) -> list[Mark]:
        """Return the marks that earlier runs put."""
        return list(self.record().marks)

    def surplus(self, wanted: t.Sequence[Mark]) -> list[Mark]:
        """Return recorded marks that are not wanted any more, what is in a directory before it."""
        places = {_place(mark) for mark in wanted}
        return [mark for mark in reversed(self.recorded()) if _place(mark) not in places]

    def apply(self, wanted: t.Sequence[Mark]) -> None:
        """Put what is *wanted* and not there, and take away the surplus."""
        for mark in self.surplus(wanted):
            self.take(mark)
        record = Record(self._register, tuple(wanted))
        if record != self.record():
            # Before the marks: whatever is put is known to the run that takes it away.
            write_whole(self._store.registration, (render_record(record),))
        for mark in wanted:
            if not is_there(mark):
                with _as_user(mark.user):
                    _PUT[mark.kind](mark)

    def strip(self, tree: str) -> None:
        """Take out of *tree*, which was live, what registration put below the prefix."""
        for mark in reversed(self.recorded()):
            if mark.path.startswith(f"{self._store.prefix}/"):
                self.take(mark._replace(path=tree + mark.path[len(self._store.prefix) :]))

    def take(self, mark: Mark) -> None:
        """Take *mark* away, unless it is not ours any more or another environment needs it."""
        if is_there(mark) and not self._is_shared(mark):
            with _as_user(mark.user):
                _TAKE[mark.kind](mark)

    def _is_shared(self, mark: Mark) -> bool:
        """Whether another environment in the same directory has, or may have, recorded the same mark."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._store.top):
                if name != os.path.basename(self._store.root) and _needs(Store(self._store.envs_dir, name), mark):
                    return True
        return False


def _needs(store: Store, mark: Mark) -> bool:
    """Whether *store* has recorded *mark*; where that cannot be told, as a newer collection did it, marks stay."""
    try:
        store.check_format()
        return mark in Registrar(store).recorded()
    except BundleError:
        return True


def _place(mark: Mark) -> tuple[str, ...]:
    return (mark.kind, mark.path, mark.text) if mark.kind == LINE else (mark.kind, mark.path)


def is_there(mark: Mark) -> bool:
    """Whether the host has *mark* as it should be."""
    if mark.kind == LINK:
        return os.path.islink(mark.path) and os.readlink(mark.path) == mark.text
    if mark.kind == DIRECTORY:
        return os.path.isdir(mark.path)
    try:
        with open(mark.path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    return data == _bytes(mark) if mark.kind == FILE else _bytes(mark) in data.splitlines()


def _bytes(mark: Mark) -> bytes:
    return mark.text.encode("utf-8", "surrogateescape")


@contextlib.contextmanager
def _as_user(user: str) -> t.Iterator[None]:
    """Act as *user*, so that nothing in a home directory can send root elsewhere."""
    account = pwd.getpwnam(user) if user else None
    if account is None or account.pw_uid == os.geteuid():
        yield
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    # Those of root may open what is not this user's either.
    os.initgroups(account.pw_name, account.pw_gid)
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _put_file(mark: Mark) -> None:
    _make_parent(mark.path)
    write_whole(mark.path, (_bytes(mark),))


def _put_link(mark: Mark) -> None:
    _make_parent(mark.path)
    temporary = f"{mark.path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(mark.text, temporary)
    os.replace(temporary, mark.path)


def _put_line(mark: Mark) -> None:
    _make_parent(mark.path)
    with open(mark.path, "a+b") as file:
        file.seek(0)
        data = file.read()
        file.write((b"\n" if data and not data.endswith(b"\n") else b"") + _bytes(mark) + b"\n")


def _put_directory(mark: Mark) -> None:
    _make_directory(mark.path)


def _take_directory(mark: Mark) -> None:
    # What others put there stays.
    with contextlib.suppress(OSError):
        os.rmdir(mark.path)


def _take_file(mark: Mark) -> None:
    os.unlink(mark.path)


def _take_line(mark: Mark) -> None:
    with open(mark.path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    kept = (line for line in lines if line.rstrip(b"\r\n") != _bytes(mark))
    write_whole(mark.path, kept, stat.S_IMODE(os.stat(mark.path).st_mode))


def _make_parent(path: str) -> None:
    _make_directory(os.path.dirname(path))


def _make_directory(path: str) -> None:
    if not os.path.isdir(path):
        _make_parent(path)
        os.mkdir(path)
        os.chmod(path, _DIRECTORY_MODE)


_PUT: dict[str, t.Callable[[Mark], None]] = {
    FILE: _put_file,
    LINK: _put_link,
    LINE: _put_line,
    DIRECTORY: _put_directory,
}
_TAKE: dict[str, t.Callable[[Mark], None]] = {
    FILE: _take_file,
    LINK: _take_file,
    LINE: _take_line,
    DIRECTORY: _take_directory,
}
