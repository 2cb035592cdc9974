# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The user's configuration of conda: which files it is in, what they say together, and what that means for channels."""

from __future__ import annotations

import glob
import os
import re
import types
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import ALIAS, DEFAULTS, Channels
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

Settings = t.Mapping[str, t.Any]
NOTHING: Settings = types.MappingProxyType({})

#: Where conda looks, what counts least first; a directory is read file by file.
_PLACES = (
    "/etc/conda",
    "/var/lib/conda",
    "$CONDA_ROOT",
    "$XDG_CONFIG_HOME/conda",
    "~/.config/conda",
    "~/.conda",
)
_ALLOWED, _DENIED = "allowlist_channels", "denylist_channels"
_NAMES = (".condarc", "condarc", "condarc.d")
#: Other names of settings, by the one used here.
_ALIASES = {
    "verify_ssl": "ssl_verify",
    "client_cert": "client_ssl_cert",
    "client_cert_key": "client_ssl_cert_key",
    "channel": "channels",
    "whitelist_channels": _ALLOWED,
}
#: Settings that the environment may make too, as CONDA_<NAME>.
_IN_ENVIRONMENT = (
    *("channel_alias", "ssl_verify", "client_ssl_cert", "client_ssl_cert_key"),
    *("channels", "default_channels", _ALLOWED, _DENIED),
)
_LISTS = ("channels", "default_channels", _ALLOWED, _DENIED)
#: conda's mark of a setting that files which count more cannot change.
_FINAL = re.compile(r"^([A-Za-z_]+)\s*:.*#!final\s*$", re.MULTILINE)


class Document(t.NamedTuple):
    """What one file says, and which of it is final."""

    settings: Settings
    final: frozenset[str] = frozenset()


def read(environ: t.Mapping[str, str]) -> Settings:
    """Return what the user's files and *environ* say together; raises C(BuildError) naming a file that says nothing."""
    documents = [_document(path) for path in search_path(environ)]
    settings: Settings = expanded(merged([*documents, Document(from_environment(environ))]), environ)
    return settings


def search_path(environ: t.Mapping[str, str]) -> list[str]:
    """Return the files that are there, in the order of conda's own search, what counts least first."""
    known = {**environ, "CONDA_ROOT": environ.get("CONDA_ROOT") or _root(environ)}
    places = [os.path.join(place, name) for place in _PLACES for name in _NAMES]
    places += ["~/.condarc", *(f"$CONDA_PREFIX/{name}" for name in _NAMES), "$CONDARC"]
    found: dict[str, None] = {}
    for place in places:
        variable = re.match(r"\$(\w+)", place)
        if variable and not known.get(variable[1]):
            continue
        path = re.sub(r"^\$(\w+)", lambda match: known[match[1]], place)
        path = re.sub(r"^~(?=/)", lambda _match: known.get("HOME") or os.path.expanduser("~"), path)
        inside = [*glob.glob(f"{glob.escape(path)}/*.yml"), *glob.glob(f"{glob.escape(path)}/*.yaml")]
        found.update(dict.fromkeys(sorted(inside) if os.path.isdir(path) else [path]))
    return [path for path in found if os.path.isfile(path)]


def _root(environ: t.Mapping[str, str]) -> str:
    """Return the installation that the user's shell was set up for."""
    executable = environ.get("CONDA_EXE")
    return os.path.dirname(os.path.dirname(executable)) if executable else ""


def _document(path: str) -> Document:
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        settings = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(mask(str(getattr(error, "strerror", None) or error)).split())
        raise BuildError(f"conda's configuration in {path} cannot be read: {reason}") from error
    if not isinstance(settings, dict):
        raise BuildError(f"conda's configuration in {path} cannot be read: it is no mapping")
    named = {_ALIASES.get(str(key), str(key)): value for key, value in settings.items()}
    return Document(named, frozenset(_ALIASES.get(key, key) for key in _FINAL.findall(text)))


def from_environment(environ: t.Mapping[str, str]) -> Settings:
    """Return the settings that variables make."""
    found: dict[str, t.Any] = {}
    for name in _IN_ENVIRONMENT:
        value = environ.get(f"CONDA_{name.upper()}")
        if value:
            found[name] = [part.strip() for part in value.split(",")] if name in _LISTS else value
    return found


def merged(documents: t.Iterable[Document]) -> dict[str, t.Any]:
    """Return what *documents* say together, the last counting most: maps by key, of lists the last one's first."""
    result: dict[str, t.Any] = {}
    final: set[str] = set()
    for document in documents:
        for key, value in document.settings.items():
            if key not in final and value is not None:
                result[key] = _joined(result.get(key), value)
        final |= document.final
    return result


def _joined(less: object, more: object) -> object:
    if isinstance(less, dict) and isinstance(more, dict):
        return {**less, **more}
    if isinstance(less, list) and isinstance(more, list):
        return [*more, *(value for value in less if value not in more)]
    return more


def expanded(value: t.Any, environ: t.Mapping[str, str]) -> t.Any:
    """Return *value* with C($NAME) and C(${NAME}) in its texts replaced, where *environ* has that name."""
    if isinstance(value, dict):
        return {key: expanded(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [expanded(each, environ) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda name: environ.get(name[1] or name[2], name[0]), value)
    return value


def channels(settings: Settings) -> Channels:
    """Return what names of channels mean."""
    alias = str(settings.get("channel_alias") or ALIAS).rstrip("/")
    custom = {str(name): str(base) for name, base in (settings.get("custom_channels") or {}).items()}
    several = {str(name): tuple(listed) for name, listed in (settings.get("custom_multichannels") or {}).items()}
    defaults = tuple(settings.get("default_channels") or DEFAULTS)
    return Channels(_with_scheme(alias), {"defaults": defaults, **several}, custom)


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"https://{address}"


def refused(settings: Settings, urls: t.Iterable[str], directory: str) -> str | None:
    """Say which of the channels *urls* the configuration does not allow; None where it allows them all."""
    names = channels(settings)
    denied = names.urls(settings.get(_DENIED) or (), directory)
    allowed = names.urls(settings.get(_ALLOWED) or (), directory)
    for url in map(_public, urls):
        if url in map(_public, denied) or (allowed and url not in map(_public, allowed)):
            return f"conda's configuration does not allow the channel {url}"
    return None


def _public(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
