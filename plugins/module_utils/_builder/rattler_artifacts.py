# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Packages at addresses and in files, as py-rattler's records. Runs in an isolated child only."""

from __future__ import annotations

import asyncio
import hashlib
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import NO_CHANNEL, Artifact
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: At once.
_FETCHED = 16


def artifact_spec(artifact: Artifact) -> t.Any:
    """Return what asks for the artifact, so that what it depends on is read too."""
    import rattler

    stated = {"url": artifact.url, "md5": artifact.md5, "sha256": artifact.sha256}
    fields = ",".join(f'{key}="{value}"' for key, value in stated.items() if value)
    return rattler.MatchSpec(f"{artifact.name}[{fields}]")


async def artifact_records(
    artifacts: t.Sequence[Artifact], gateway: t.Any, platform: str, said: t.Callable[[Exception], str]
) -> list[t.Any]:
    """Return the record of each of *artifacts*, which are fetched by *gateway*; their digests are checked.

    *said* tells what the library says of an error.
    """
    turns = asyncio.Semaphore(_FETCHED)

    async def record(artifact: Artifact) -> t.Any:
        async with turns:
            return await _record(artifact, gateway, platform, said)

    return list(await asyncio.gather(*map(record, artifacts)))


async def _record(artifact: Artifact, gateway: t.Any, platform: str, said: t.Callable[[Exception], str]) -> t.Any:
    from rattler import exceptions

    try:
        record = await (_from_file(artifact) if artifact.path else _from_address(artifact, gateway))
    except (exceptions.GatewayError, OSError, *_defects(exceptions)) as error:
        reason = "; ".join(line.replace("Caused by: ", "").strip() for line in said(error).splitlines())
        raise BuildError(f"{mask(artifact.url)} cannot be used: {mask(reason)}") from error
    if record.subdir not in (platform, "noarch"):
        raise BuildError(f"{mask(artifact.url)} is for {record.subdir}, and the hosts are {platform}")
    if artifact.channel != NO_CHANNEL:
        record.channel = artifact.channel
    return record


async def _from_file(artifact: Artifact) -> t.Any:
    import rattler

    check_digests(artifact)
    return await rattler.RepoDataRecord.from_package_archive(artifact.path or "")


async def _from_address(artifact: Artifact, gateway: t.Any) -> t.Any:
    """The library itself checks the digests of what it fetches."""
    found = await gateway.query([], ["noarch"], [artifact_spec(artifact)], recursive=False)
    return next(record for records in found for record in records)


def check_digests(artifact: Artifact) -> None:
    """Raise where a file is not what its digests say; the library does not look at those of files."""
    for algorithm, stated in (("md5", artifact.md5), ("sha256", artifact.sha256)):
        if stated:
            found = hashlib.new(algorithm, usedforsecurity=False)
            with open(artifact.path or "", "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    found.update(block)
            if found.hexdigest() != stated:
                raise BuildError(
                    f"{mask(artifact.url)} has the {algorithm} {found.hexdigest()}, not {stated} as stated"
                )


def _defects(exceptions: t.Any) -> tuple[t.Any, ...]:
    return (exceptions.ExtractError, exceptions.IoError, exceptions.InvalidMatchSpecError)
