# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The C(conda-meta) of a prefix: read, and put right where solvers leave it different from each other."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import NO_CHANNEL, artifact, is_artifact
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import channel_name, record_channel
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import package_name
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask, without_credentials

Fields = t.Dict[str, t.Any]


class Record(t.NamedTuple):
    """One conda-meta/*.json."""

    #: Below the prefix.
    path: str
    data: Fields


def read_records(prefix: str) -> list[Record]:
    """Return the conda packages installed in *prefix*, sorted by file name; C(PackError) when it is no environment."""
    directory = os.path.join(prefix, "conda-meta")
    if not os.path.isdir(directory):
        raise PackError(f"{prefix} is not a conda environment (no conda-meta in it); name the prefix of one")
    records = []
    for name in sorted(os.listdir(directory)):
        if name.endswith(".json"):
            path = os.path.join(directory, name)
            try:
                with open(path, encoding="utf-8") as file:
                    records.append(Record(f"conda-meta/{name}", json.load(file)))
            except (ValueError, RecursionError) as error:
                raise PackError(f"{path}: the record of a package is damaged ({error}); install it again") from None
    site_packages = _site_packages(records)
    return [record._replace(data=located(record.data, site_packages)) for record in records]


def _site_packages(records: t.Iterable[Record]) -> str:
    """Return where the Python among *records* has its packages, below the prefix; empty without one."""
    python = next((record.data for record in records if record.data.get("name") == "python"), None)
    if python is None:
        return ""
    version = ".".join(str(python["version"]).split(".")[:2])
    return str(python.get("python_site_packages_path") or f"lib/python{version}/site-packages")


def located(record: Fields, site_packages: str) -> Fields:
    """Return *record* with its paths as they are in the prefix; of C(noarch: python) conda keeps the package's own."""
    paths_data = record.get("paths_data") or {}
    if record.get("noarch") != "python" or not paths_data.get("paths"):
        return record
    placed = {"site-packages": site_packages, "python-scripts": "bin"}

    def path(stated: Fields) -> Fields:
        top, slash, rest = stated["_path"].partition("/")
        return {**stated, "_path": f"{placed[top]}/{rest}"} if slash and placed.get(top) else stated

    return {**record, "paths_data": {**paths_data, "paths": [path(stated) for stated in paths_data["paths"]]}}


def settle(prefix: str, dependencies: t.Sequence[str], variables: t.Mapping[str, str]) -> None:
    """Make the freshly installed *prefix* one that does not tell which solver installed *dependencies* (as typed)."""
    requested = {package_name(dependency): _requested(dependency) for dependency in dependencies}
    settled = []
    for path, record in read_records(prefix):
        settled.append(corrected(record, requested.get(record["name"])))
        for script in _entry_points(record):
            _indent_by_spaces(os.path.join(prefix, script))
        _write(os.path.join(prefix, path), json.dumps(settled[-1], indent=2))
    _write(os.path.join(prefix, "conda-meta", "history"), history(settled, list(requested.values())))
    if variables:
        state = json.dumps({"env_vars": dict(variables)}, ensure_ascii=False)
        _write(os.path.join(prefix, "conda-meta", "state"), state)
    # Backup programs that honour the one would skip the environment; the other is the time of installing.
    for name in ("CACHEDIR.TAG", "conda-meta/created_at"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(prefix, name))


def _requested(dependency: str) -> str:
    """Return *dependency* as typed, less credentials and what is in the builder's directories only."""
    if is_artifact(dependency):
        return artifact(dependency, "/").spec
    channel, separator, rest = dependency.rpartition("::")
    is_local = channel.startswith((".", "/", "~", "file:"))
    return rest if is_local else mask(f"{channel}{separator}{rest}")


def corrected(record: Fields, requested: str | None) -> Fields:
    """Return *record* as conda would have written it; *requested* is the dependency that asked for it, as typed."""
    # When the channel was indexed is no property of the package, and what asked for it is said below.
    dropped = ("indexed_timestamp", "requested_spec", "_requested_specs")
    result = {key: value for key, value in record.items() if key not in dropped}
    result["channel"] = without_credentials(result.get("channel") or NO_CHANNEL)
    result["url"] = without_credentials(result["url"])
    result["requested_specs"] = [requested] if requested else []
    if requested:
        result["requested_spec"] = requested
    paths = [_corrected_path(entry) for entry in record["paths_data"]["paths"]]
    result["paths_data"] = {**record["paths_data"], "paths": paths}
    return result


def _corrected_path(entry: Fields) -> Fields:
    """Leave out the digest of a link's text: conda compares it with the file behind the link."""
    if entry["path_type"] != "softlink":
        return entry
    return {key: value for key, value in entry.items() if key != "sha256_in_prefix"}


def _entry_points(record: Fields) -> list[str]:
    """Return the scripts that the installer wrote for a C(noarch: python) package."""
    paths = record["paths_data"]["paths"]
    return [path["_path"] for path in paths if path["path_type"] == "unix_python_entry_point"]


def _indent_by_spaces(script: str) -> None:
    """Rewrite an entry point as conda has them; rattler's is the same but for tabs."""
    with open(script, encoding="utf-8") as file:
        text = file.read()
    if "\n\t" in text:
        with open(script, "w", encoding="utf-8") as file:
            file.write(text.replace("\n\t", "\n    "))


def history(installed: t.Iterable[Fields], dependencies: t.Sequence[str]) -> str:
    """Return one revision of conda's history, dated by its newest package so that the same solution reads the same."""
    ordered = sorted(installed, key=lambda record: str(record["name"]))
    newest = max((record.get("timestamp") or 0 for record in ordered), default=0)
    date = datetime.datetime.fromtimestamp(newest / 1000, datetime.timezone.utc)
    lines = [
        f"==> {date:%Y-%m-%d %H:%M:%S} <==",
        # conda ignores a revision that has no command.
        "# cmd: conda env create",
        *(f"+{_distribution(record)}" for record in ordered),
        f"# update specs: {list(dependencies)}",
    ]
    return "\n".join(lines) + "\n"


def _distribution(record: Fields) -> str:
    channel = channel_name(record_channel(record))
    return f"{channel}/{record['subdir']}::{record['name']}-{record['version']}-{record['build']}"


def _write(path: str, text: str) -> None:
    """Write a file that everybody may read, whatever the umask."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
