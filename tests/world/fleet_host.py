# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the fleet is made of, from its overlay to its sshd; runs in the host's first process."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import kernel
from .process import WorldError

RELEASES = ("bullseye", "bookworm", "trixie")
PACKAGES = ("openssh-server", "python3", "sudo")
CONTROLLER_PACKAGES = ("openssh-client", "python3-pip", "python3-venv")
WEB_PACKAGES = ("nginx", "openssl")
RSYNC_PACKAGES = ("rsync",)
USERS = {"plain": 1000, "admin": 1001}
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# `wait` also takes in the orphans that process 1 inherits; when sshd ends, so does the host.
INIT = "trap 'exit 0' TERM; /usr/sbin/sshd -D -e & wait"

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 50
Subsystem sftp internal-sftp
"""
# A fleet's tests come from one address and may fail to log in many times.
SSHD_OF = {"trixie": "PerSourcePenalties no\n"}


@dataclass(frozen=True)
class HostSpec:
    """A host to be started; a `web` one has nginx, to be started by whoever wants it, one with `rsync` has that.

    `storage` is where what it writes is kept: `disk` is a directory below the fleet's own,
    `tmpfs` is memory, at most `size`. `volumes` are further file systems in memory: mount point
    to mount options, as in {"/opt": "size=64m", "/tmp": "noexec"}. `rate` is what its cable lets
    through, each way, as in 50mbit; without, as much as the machine bears.
    """

    name: str
    release: str = "bookworm"
    controller: bool = False
    web: bool = False
    rsync: bool = False
    storage: str = "disk"
    size: str = "2g"
    rate: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> tuple[str, ...]:
        more = CONTROLLER_PACKAGES * self.controller + WEB_PACKAGES * self.web + RSYNC_PACKAGES * self.rsync
        return PACKAGES + more

    def check(self) -> None:
        """Raise an error unless there can be such a host."""
        if not self.name.isascii() or not self.name.isalnum() or len(self.name) > 32:
            raise WorldError(f"A host cannot be called {self.name!r}; use up to 32 letters and digits")
        if self.release not in RELEASES:
            raise WorldError(f"There are no hosts of release {self.release!r}; use {', '.join(RELEASES)}")
        if self.storage not in ("disk", "tmpfs"):
            raise WorldError(f"{self.name} cannot keep its files on {self.storage!r}; use disk or tmpfs")


@dataclass(frozen=True)
class Belongings:
    """What a host is given beside its packages: text files, by their path below its root."""

    spec: HostSpec
    lower: Path
    private: Mapping[str, str]
    public: Mapping[str, str]
    authorized: str


def become(host: Belongings, storage: Path, log: Path) -> None:
    """Turn this process, in namespaces of its own, into the host up to the start of its init."""
    root = _assemble(host, storage)
    _mount_system(root, host.spec)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    kernel.enter_root(root)


def start_init() -> None:
    """Become the host's init; does not return."""
    os.execve("/bin/sh", ["init", "-c", INIT], {"PATH": PATH})


def _assemble(host: Belongings, storage: Path) -> Path:
    kernel.mount("none", Path("/"), flags=kernel.MS_REC | kernel.MS_PRIVATE)
    # redirect_dir: that directories of the release can be renamed, as on any other file system
    options = "redirect_dir=on"
    if host.spec.storage == "tmpfs":
        # numbers of 32 bits leave overlayfs room to show two file systems as one device
        options += ",xino=on"
        kernel.mount("fleet", storage, "tmpfs", kernel.MS_NODEV, f"size={host.spec.size},mode=755,inode32")
    upper, work, root = (storage / part for part in ("upper", "work", "root"))
    new = not upper.exists()
    for directory in (upper, work, root):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
    kernel.mount("fleet", root, "overlay", options=f"lowerdir={host.lower},upperdir={upper},workdir={work},{options}")
    if new:
        _furnish(root, host)
    return root


def _furnish(root: Path, host: Belongings) -> None:
    for name, content in host.public.items():
        _put(root / name, content, 0o644)
    for name, content in host.private.items():
        _put(root / name, content, 0o600)
    _put(root / "etc/hostname", f"{host.spec.name}\n", 0o644)
    _put(root / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _put(root / "etc/ssh/sshd_config", SSHD + SSHD_OF.get(host.spec.release, ""), 0o644)
    _put(root / "etc/sudoers.d/admin", "admin ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    for name, uid in USERS.items():
        _add_user(root, name, uid)
    for home, uid in {"root": 0, **{f"home/{name}": uid for name, uid in USERS.items()}}.items():
        _authorize(root / home, uid, host.authorized)


def _add_user(root: Path, name: str, uid: int) -> None:
    lines = {
        "passwd": f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n",
        "group": f"{name}:x:{uid}:\n",
        # no password, but not locked either: sshd refuses a locked user's key
        "shadow": f"{name}:*:19000:0:99999:7:::\n",
    }
    for table, line in lines.items():
        with (root / "etc" / table).open("a") as file:
            file.write(line)
    home = root / "home" / name
    shutil.copytree(root / "etc/skel", home)
    for path in (home, *home.rglob("*")):
        os.chown(path, uid, uid)


def _authorize(home: Path, uid: int, keys: str) -> None:
    _put(home / ".ssh/authorized_keys", keys, 0o600)
    (home / ".ssh").chmod(0o700)
    for path in (home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, uid, uid)


def _put(path: Path, content: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(content)
    path.chmod(mode)


def _mount_system(root: Path, spec: HostSpec) -> None:
    quiet = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("proc", root / "proc", "proc", quiet | kernel.MS_NOEXEC)
    kernel.mount("sysfs", root / "sys", "sysfs", quiet | kernel.MS_NOEXEC | kernel.MS_RDONLY)
    kernel.mount("tmpfs", root / "run", "tmpfs", quiet, "mode=755,size=64m")
    (root / "run/sshd").mkdir(mode=0o755)
    (root / "run/lock").mkdir(mode=0o755)
    (root / "run/lock").chmod(0o1777)
    _mount_devices(root / "dev")
    # the systemd of Debian 13 keeps /tmp in memory
    defaults = {"/tmp": "mode=1777,size=1g"} if spec.release == "trixie" else {}
    for point, options in {**defaults, **spec.volumes}.items():
        _mount_volume(root / point.lstrip("/"), options)


def _mount_volume(target: Path, options: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    words = options.split(",")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    for word, flag in {"noexec": kernel.MS_NOEXEC, "ro": kernel.MS_RDONLY}.items():
        flags |= flag if word in words else 0
    given = [word for word in words if word not in ("noexec", "ro")]
    mode = stat.S_IMODE(target.stat().st_mode)
    kernel.mount("fleet", target, "tmpfs", flags, ",".join([f"mode={mode:o}", *given]))


def _mount_devices(dev: Path) -> None:
    kernel.mount("dev", dev, "tmpfs", kernel.MS_NOSUID, "mode=755,size=1m")
    for name, (major, minor) in DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    for name, target in LINKS.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    kernel.mount("devpts", dev / "pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666,mode=620,gid=5")
    kernel.mount("shm", dev / "shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
