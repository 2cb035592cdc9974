# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Orders: what the inventory wants of one host, one order for each environment."""

from __future__ import annotations

import hashlib
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._model.delta import Basis
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import NAME, Needs, Piece
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import DEPLOY

#: How deep a live environment is looked at.
VERIFY_RECEIPT = "receipt"
VERIFY_QUICK = "quick"
VERIFY_FULL = "full"
DEPTHS = (VERIFY_RECEIPT, VERIFY_QUICK, VERIFY_FULL)

#: Whence a host takes a bundle: pushed by the controller, at a path of its own, or from a web server of the site.
SOURCE_CONTROLLER = "controller"
SOURCE_PATH = "path"
SOURCE_URL = "url"
SOURCES = (SOURCE_CONTROLLER, SOURCE_PATH, SOURCE_URL)

#: How a new generation gets files that a kept one has: sharing blocks, or inodes, or nothing.
SHARE_AUTO = "auto"
SHARE_HARDLINK = "hardlink"
SHARE_COPY = "copy"
SHARES = (SHARE_AUTO, SHARE_HARDLINK, SHARE_COPY)

#: What becomes of files in the way of a deployment that no bundle brought.
UNEXPECTED_FAIL = "fail"
UNEXPECTED_KEEP = "keep"
#: As V(keep), and a reason by themselves to make the tree anew.
UNEXPECTED_CLEAR = "clear"
#: As V(clear), and not kept.
UNEXPECTED_REMOVE = "remove"
UNEXPECTED = (UNEXPECTED_FAIL, UNEXPECTED_KEEP, UNEXPECTED_CLEAR, UNEXPECTED_REMOVE)

MANIFEST_PIECE = "manifest"
FILES_PIECE = "files"
ARCHIVE_PIECE = "archive"

#: Characters of a stream that name it on a host.
STREAM_NAME = 16

_STRINGS = {"type": "list", "elements": "str", "default": []}
#: What modules take as one part of a stream.
PART_OPTIONS: dict[str, t.Any] = {
    "stream": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "offset": {"type": "int", "required": True},
    "sha256": {"type": "str", "required": True},
}
#: What modules take as a registration.
REGISTER_OPTIONS: dict[str, t.Any] = {
    "conda_root": {"type": "path", "default": "/opt/conda"},
    "users": _STRINGS,
    "profile": {"type": "bool", "default": False},
    "commands": _STRINGS,
    "kernel": {"type": "bool", "default": False},
    "frozen": {"type": "bool", "default": False},
}


def stream_of(pieces: t.Iterable[Piece]) -> str:
    """Return the name of the stream of *pieces*: one content may have been packed, and encoded, more than once."""
    return hashlib.sha256("".join(piece.sha256 for piece in pieces).encode("ascii")).hexdigest()


class Offer(t.NamedTuple):
    """A bundle as the controller offers it: what is needed to decide, and what would be sent."""

    content_id: str
    needs: Needs
    #: manifest, files, archive: sent one after the other as one stream.
    pieces: t.Dict[str, Piece]
    codec: str
    #: Members of the archive that are not deployed.
    carriers: t.Tuple[str, ...]
    #: Name of its directory, where a source holds several.
    label: str = ""
    #: Whether the archive was made on the controller, so that no other source has it.
    derived: bool = False
    #: What this host holds, and so the archive lacks; nothing where that is whole.
    basis: Basis = Basis()

    @property
    def stream(self) -> str:
        """What tells its stream of pieces from others."""
        return stream_of(self.pieces.values())

    @property
    def size(self) -> int:
        """Bytes of the whole stream."""
        return sum(piece.size for piece in self.pieces.values())


class Source(t.NamedTuple):
    """Whence the pieces of a bundle come. What they must be, the controller says; so no source needs trust."""

    #: One of M(SOURCES).
    type: str = SOURCE_CONTROLLER
    #: Directory of the host.
    path: str = ""
    url: str = ""
    username: str = ""
    password: str = ""
    #: File of the host with the certificates to trust, or empty for the system's.
    ca_path: str = ""
    #: None unless it is named, whatever the environment says.
    proxy: str = ""


class Health(t.NamedTuple):
    """What must work after a switch."""

    imports: t.Tuple[str, ...] = ()
    commands: t.Tuple[str, ...] = ()
    #: Seconds for each.
    timeout: float = 60.0


class Registration(t.NamedTuple):
    """Who shall know an environment."""

    conda_root: str = "/opt/conda"
    users: t.Tuple[str, ...] = ()
    profile: bool = False
    commands: t.Tuple[str, ...] = ()
    kernel: bool = False
    frozen: bool = False


class Keeping(t.NamedTuple):
    """What becomes of generations, and of what users put into them."""

    #: Generations that are kept, the live one included.
    keep: int = 2
    #: Whether those from which processes run may be removed as well.
    collect_used: bool = False
    #: What becomes of files that no bundle brought: V(fail), V(keep), V(clear) or V(remove).
    on_unexpected: str = UNEXPECTED_FAIL
    #: Whether an environment that was not deployed is kept as generation zero, else it is left as it is.
    adopt: bool = False
    share: str = SHARE_AUTO


class Order(t.NamedTuple):
    """One environment on one host."""

    name: str
    envs_dir: str
    state: str
    #: By platform.
    offers: t.Dict[str, Offer]
    owner: str
    group: str
    verify: str
    bytecode: bool
    health: Health
    register: Registration
    keeping: Keeping = Keeping()
    #: Who gives it, and where: C(user@controller).
    by: str = ""
    #: What its switch is recorded as.
    how: str = DEPLOY
    source: Source = Source()

    @property
    def prefix(self) -> str:
        """Where the environment is live."""
        return f"{self.envs_dir}/{self.name}"


def parse_order(fields: t.Mapping[str, t.Any]) -> Order:
    """Make an order of a module's parameters; raise C(DeployError) for what no host can do."""
    name, envs_dir = fields["name"], _plain(fields["envs_dir"])
    if not NAME.fullmatch(name):
        raise DeployError(f"{name!r} cannot name an environment; use letters, digits and . _ + -")
    if not fields["envs_dir"].startswith("/") or not envs_dir:
        raise DeployError(f"env_deploy_envs_dir must be an absolute path of the host, not {fields['envs_dir']!r}")
    health, register = fields.get("health") or {}, fields.get("register") or {}
    return Order(
        name=name,
        envs_dir=envs_dir,
        state=fields["state"],
        offers={platform: _offer(offer) for platform, offer in (fields.get("offers") or {}).items()},
        owner=fields.get("owner") or "",
        group=fields.get("group") or "",
        verify=fields["verify"],
        bytecode=fields["bytecode"],
        health=parse_health(health),
        register=parse_registration(register),
        by=fields.get("by") or "",
        how=fields.get("how") or DEPLOY,
        keeping=_keeping(fields),
        source=_source(fields.get("source") or {}),
    )


def parse_health(fields: t.Mapping[str, t.Any]) -> Health:
    """Make the checks of a module's parameters, or of what was kept of them."""
    return Health(
        tuple(fields.get("imports") or ()), tuple(fields.get("commands") or ()), float(fields.get("timeout") or 60)
    )


def parse_registration(fields: t.Mapping[str, t.Any]) -> Registration:
    """Make the registration of a module's parameters, or of what was kept of them."""
    return Registration(
        conda_root=_plain(fields.get("conda_root") or "/opt/conda"),
        users=tuple(fields.get("users") or ()),
        profile=bool(fields.get("profile")),
        commands=tuple(fields.get("commands") or ()),
        kernel=bool(fields.get("kernel")),
        frozen=bool(fields.get("frozen")),
    )


def _keeping(fields: t.Mapping[str, t.Any]) -> Keeping:
    given = {name: fields[name] for name in Keeping._fields if fields.get(name) is not None}
    keeping = Keeping(**given)
    if keeping.keep < 1:
        raise DeployError(f"env_deploy_keep counts the live generation, so it is 1 or more, not {keeping.keep}")
    return keeping


def _source(fields: t.Mapping[str, t.Any]) -> Source:
    source = Source(**{name: fields.get(name) or default for name, default in Source()._asdict().items()})
    if source.type == SOURCE_PATH and not source.path.startswith("/"):
        raise DeployError(f"env_deploy_source_path must be an absolute path of the host, not {source.path!r}")
    if source.type == SOURCE_URL:
        parts = urllib.parse.urlsplit(source.url)
        if "@" in parts.netloc:
            # The URL is not repeated, as it holds a password.
            raise DeployError(
                "env_deploy_source_url holds a login; put it into env_deploy_source_username and"
                " env_deploy_source_password"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DeployError(
                f"env_deploy_source_url must begin with http:// or https:// and name a host: {source.url!r}"
            )
    return source


def _plain(path: str) -> str:
    """Return an absolute *path* in the one form that names are compared in; C(..) stays, as it may follow a link."""
    return "".join(f"/{part}" for part in path.split("/") if part not in ("", "."))


def _offer(fields: t.Mapping[str, t.Any]) -> Offer:
    return Offer(
        content_id=fields["content_id"],
        needs=Needs(**fields["needs"]),
        pieces={kind: Piece(**piece) for kind, piece in fields["pieces"].items()},
        codec=fields["codec"],
        carriers=tuple(fields["carriers"]),
        label=fields["label"],
        derived=fields["derived"],
        basis=Basis(fields["base"], tuple(fields["lost"])),
    )
