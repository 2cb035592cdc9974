# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian roots, and packages fetched with this machine's apt but lists of our own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from . import cache
from .process import WorldError, in_root, private, run, say

RECIPE = 1
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = frozenset({"bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable"})

# What this machine does around its own packages is none of ours.
HOOKS = ("APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs")

# What belongs to the machine or the hour a root was made on.
OF_THE_BUILDER = (
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/sources.list",
    "etc/ssh/ssh_host_*",
    "usr/sbin/policy-rc.d",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*.log",
    "var/log/apt/*",
    "tmp/*",
)


def ensure_root(release: str, packages: Sequence[str]) -> Path:
    """A minimal Debian root with these extra packages, to be used read-only.

    It has no host name, resolver, package sources or ssh host keys (`ssh-keygen -A` makes those)
    and nothing is mounted in it.
    """
    wanted = sorted(set(packages))
    make = partial(_extend, release=release, packages=wanted) if wanted else partial(_bootstrap, release=release)
    inputs = {"release": release, "packages": wanted, "arch": architecture(), "recipe": RECIPE}
    return cache.entry("roots", inputs, make)


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"], timeout=10).strip()


def mirror() -> str:
    """The Debian mirror this machine is set up to use."""
    listing = ["apt-get", "indextargets", "--no-release-info", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"]
    targets = (line.split() for line in run(listing, timeout=30).splitlines())
    for release, component, uri in (target for target in targets if len(target) == 3):
        if release in SUITES and component == "main":
            return uri
    raise WorldError("This machine's apt names no Debian mirror; add one to /etc/apt/sources.list")


class Apt:
    """This machine's apt with its proxies and certificates, but the lists of another release."""

    def __init__(self, home: Path, release: str, *, status: Path | None = None, sources: bool = False) -> None:
        self._home = home
        for part in ("state/lists/partial", "cache/archives/partial"):
            (home / part).mkdir(parents=True, exist_ok=True)
        if status is None:
            status = home / "status"
            status.touch()
        signed = f" [signed-by={KEYRING}]" if KEYRING.exists() else ""
        kinds = ("deb", "deb-src") if sources else ("deb",)
        lines = [f"{kind}{signed} {mirror()} {release} main\n" for kind in kinds]
        (home / "sources.list").write_text("".join(lines))
        (home / "apt.conf").write_text(self._configuration(status))
        self._get("update")

    def _configuration(self, status: Path) -> str:
        settings = {
            "Dir::State": self._home / "state",
            "Dir::State::status": status,
            "Dir::Cache": self._home / "cache",
            "Dir::Etc::SourceList": self._home / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            # an old release's signature has long passed its date
            "Acquire::Check-Valid-Until": "false",
        }
        cleared = [f"#clear {name};" for name in HOOKS]
        return "\n".join([*cleared, *(f'{name} "{value}";' for name, value in settings.items()), ""])

    def _get(self, *words: str, cwd: Path | None = None) -> str:
        return run(["apt-get", "-c", self._home / "apt.conf", "-q", "-y", *words], timeout=600, cwd=cwd)

    def with_dependencies(self, packages: Iterable[str]) -> list[Path]:
        """The .deb files these packages need beyond those installed."""
        self._get("install", "--download-only", *packages)
        return sorted((self._home / "cache/archives").glob("*.deb"))

    def alone(self, packages: Iterable[str], into: Path) -> list[Path]:
        """The .deb files of just these packages."""
        self._get("download", *packages, cwd=into)
        return sorted(into.glob("*.deb"))

    def original_source(self, package: str, into: Path) -> Path:
        """The archive its authors published, without Debian's changes."""
        self._get("source", "--download-only", package, cwd=into)
        return next(into.glob("*.orig.tar.*[z2]"))


def unpack(archives: Iterable[Path], into: Path) -> None:
    """The files of .deb archives, nothing installed."""
    for archive in archives:
        run(["dpkg-deb", "-x", archive, into], timeout=60)


def _bootstrap(root: Path, release: str) -> None:
    _ensure_debootstrap()
    say(f"Debian {release} with debootstrap")
    (root / "tmp/apt").mkdir(parents=True)
    wgetrc = root / "tmp/apt/wgetrc"
    wgetrc.write_text(_wget_settings())
    options = ["--variant=minbase", f"--arch={architecture()}"]
    command: list[str | Path] = ["debootstrap", *options, release, root, mirror()]
    env = {**os.environ, "WGETRC": str(wgetrc), "LC_ALL": "C.UTF-8"}
    run(private(command, network=True), timeout=900, env=env)
    _leave_clean(root)


def _ensure_debootstrap() -> None:
    if os.geteuid() != 0:
        raise WorldError("A Debian root can only be made by root; run this as root")
    if shutil.which("debootstrap"):
        return
    say("installing debootstrap")
    run(["apt-get", "-q", "update"], timeout=300)
    run(["apt-get", "-q", "-y", "install", "--no-install-recommends", "debootstrap"], timeout=300)


def _wget_settings() -> str:
    """apt's proxies and certificates for debootstrap, which fetches with wget."""
    names = {
        "Acquire::http::Proxy": "http_proxy",
        "Acquire::https::Proxy": "https_proxy",
        "Acquire::https::CaInfo": "ca_certificate",
    }
    found = re.findall(r'^(\S+) "(.+)";$', run(["apt-config", "dump"], timeout=30), re.MULTILINE)
    return "".join(f"{names[name]} = {value}\n" for name, value in found if name in names and value != "DIRECT")


def _extend(root: Path, release: str, packages: Sequence[str]) -> None:
    base = ensure_root(release, ())
    say(f"Debian {release} with {len(packages)} more packages")
    run(["cp", "-a", "--reflink=auto", f"{base}/.", root], timeout=300)
    apt = Apt(root / "tmp/apt", release, status=root / "var/lib/dpkg/status")
    archives = apt.with_dependencies(packages)
    # no service starts in a root that only waits to be used
    refusal = root / "usr/sbin/policy-rc.d"
    refusal.write_text("#!/bin/sh\nexit 101\n")
    refusal.chmod(0o755)
    inside = " ".join(f"/{archive.relative_to(root)}" for archive in archives)
    install = "apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io install"
    in_root(root, f"{install} {inside}", timeout=900)
    _leave_clean(root)


def _leave_clean(root: Path) -> None:
    for pattern in OF_THE_BUILDER:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "tmp").chmod(0o1777)
