# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The embedded solver: conda's solve and install by py-rattler. Runs in an isolated child only."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.explanations import (
    elsewhere,
    unknown_packages,
    unreachable,
    unsatisfiable,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.isolation import Events
from ansible_collections.airgap.conda.plugins.module_utils._builder.networking import Network
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import (
    KNOWN,
    WINDOWS,
    VirtualPackage,
    virtual_packages,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.rattler_artifacts import (
    artifact_records,
    artifact_spec,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.rattler_reporter import Reporter
from ansible_collections.airgap.conda.plugins.module_utils._builder.relay import Relay, spare_loopback
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question, conda_package
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: Seconds between two signs of life while the solver is silent, and until it is given up.
PULSE = 15
PATIENCE = 900


class Caches(t.NamedTuple):
    """Directories for what is fetched: extracted packages, to which prefixes refer, and repodata."""

    packages: str
    repodata: str


def solve(question: Question, network: Network, cache: str, events: Events) -> list[dict[str, str]]:
    """Return the packages of the solution as JSON; repodata is kept in the directory *cache*."""
    records = asyncio.run(_solve(_work(question, network, events), cache))
    return [_package(record) for record in records]


def build(question: Question, network: Network, prefix: str, caches: Caches, events: Events) -> None:
    """Solve, and install the solution at *prefix*."""
    asyncio.run(_build(_work(question, network, events), prefix, caches))


class _Work(t.NamedTuple):
    question: Question
    client: t.Any
    events: Events
    #: What it reads channels through, if anything.
    relay: t.Optional[Relay]

    def said(self, error: Exception) -> str:
        """Return what the library says of *error*, in words of channels."""
        return self.relay.explained(str(error)) if self.relay else str(error)


def _work(question: Question, network: Network, events: Events) -> _Work:
    # This process is the solver's alone.
    os.environ.update(network.variables)
    relay = Relay(network.certificate, network.verifies) if network.certificate else None
    urls = [*question.channels, *(artifact.url for artifact in question.artifacts)]
    return _Work(question, _client(network, relay, urls), events, relay)


def _client(network: Network, relay: Relay | None, urls: t.Sequence[str]) -> t.Any:
    """Return what fetches; beside what it is told here it reads .netrc and the credentials that rattler keeps."""
    import rattler
    from rattler import networking

    if not network.mirrors and relay is None:
        config = rattler.Config.from_toml(f"tls-no-verify = {str(not network.verifies).lower()}")
        return networking.Client.from_config(config)
    # In this order: a login is that for a mirror, if there is one, and known before the relay stands for its host.
    layers = [networking.RetryMiddleware(), _mirror(network.mirrors), networking.AuthenticationMiddleware()]
    if relay is not None:
        spare_loopback(os.environ)
        read = itertools.chain(urls, *network.mirrors.values())
        layers.append(_mirror({begins: [way] for begins, way in relay.ways(read).items()}))
    return networking.Client(layers)


def _mirror(ways: t.Mapping[str, t.Sequence[str]]) -> t.Any:
    from rattler import networking

    return networking.MirrorMiddleware({address: list(urls) for address, urls in ways.items()})


async def _build(work: _Work, prefix: str, caches: Caches) -> None:
    records = await _solve(work, caches.repodata)
    await _install(work, records, prefix, caches.packages)


async def _solve(work: _Work, cache: str) -> list[t.Any]:
    import rattler
    from rattler import exceptions

    question = work.question
    specs = [_match_spec(dependency) for dependency in question.dependencies]
    gateway = rattler.Gateway(cache_dir=cache, client=work.client)
    given = await artifact_records(question.artifacts, gateway, question.platform, work.said)
    if question.explicit:
        return given
    specs += map(artifact_spec, question.artifacts)
    assumed = virtual_packages(question.platform, question.builder, _detected(), question.virtual_packages)
    work.events.say(f"solving {len(specs)} dependencies for {question.platform}")
    try:
        solution = rattler.solve(
            sources=list(question.channels),
            specs=specs,
            gateway=gateway,
            platforms=[question.platform, "noarch"],
            virtual_packages=[_virtual_package(package) for package in assumed],
            channel_priority=rattler.ChannelPriority.Strict,
        )
        known = {record.name.normalized: record for record in given}
        return [known.get(record.name.normalized, record) for record in await _watched(solution, work.events)]
    except exceptions.SolverError as error:
        raise BuildError(await _explanation(str(error), question, gateway, assumed)) from error
    except (exceptions.GatewayError, exceptions.FetchRepoDataError, exceptions.InvalidChannelError) as error:
        raise BuildError(unreachable(work.said(error), question.channels)) from error


async def _watched(solution: t.Coroutine[t.Any, t.Any, list[t.Any]], events: Events) -> list[t.Any]:
    """Wait with signs of life: a channel that accepts connections and never answers would hold us for ever."""
    task = asyncio.ensure_future(solution)
    for waited in range(PULSE, PATIENCE + 1, PULSE):
        if (await asyncio.wait({task}, timeout=PULSE))[0]:
            return task.result()
        events.say(f"still reading channels and solving after {waited} s")
    raise BuildError(f"no solution after {PATIENCE} s: a channel does not answer, or the dependencies are too wide")


async def _explanation(said: str, question: Question, gateway: t.Any, assumed: t.Sequence[VirtualPackage]) -> str:
    """Return why there is no solution, by what a person can do about it."""
    here = (question.platform, "noarch")
    missing = [text for text in question.dependencies if not await _records(text, question, gateway, here)]
    found = await _elsewhere(missing, question, gateway)
    known = [name.normalized for name in await gateway.names(list(question.channels), here)]
    return (
        elsewhere(found, question.platform)
        or unknown_packages(question.dependencies, known, question.channels)
        or unsatisfiable(said, assumed)
    )


async def _elsewhere(missing: t.Iterable[str], question: Question, gateway: t.Any) -> dict[str, set[str]]:
    """Return the platforms that have each of *missing*; what cannot be read of them says nothing about these hosts."""
    from rattler import exceptions

    others = tuple(platform for platform in (*KNOWN, *WINDOWS) if platform != question.platform)
    try:
        found = {text: {each.subdir for each in await _records(text, question, gateway, others)} for text in missing}
    except (exceptions.GatewayError, exceptions.FetchRepoDataError):
        return {}
    return {text: platforms for text, platforms in found.items() if platforms}


async def _records(text: str, question: Question, gateway: t.Any, platforms: t.Sequence[str]) -> list[t.Any]:
    """Return what matches one dependency on *platforms*."""
    spec = _match_spec(text)
    found = await gateway.query(list(question.channels), platforms, [spec], recursive=False)
    return [record for records in found for record in records if spec.matches(record)]


async def _install(work: _Work, records: list[t.Any], prefix: str, cache: str) -> None:
    import rattler
    from rattler import exceptions
    from rattler.package_cache import PackageCache

    reporter = Reporter(work.events, len(records))
    # With its origin in the key, or else a package of the same name from another channel takes the place of one
    # that an older environment still refers to.
    packages = PackageCache.new_layered([cache], cache_origin=True)
    try:
        await rattler.install(
            records,
            prefix,
            package_cache=packages,
            client=work.client,
            platform=rattler.Subdir(work.question.platform),
            execute_link_scripts=not work.question.is_foreign,
            reporter=reporter,
        )
    except (exceptions.InstallerError, exceptions.LinkError, exceptions.ExtractError, exceptions.IoError) as error:
        raise BuildError(f"installing failed: {mask('; '.join(work.said(error).splitlines()))}") from error
    if reporter.failed_scripts:
        raise BuildError(f"the post-link scripts of {', '.join(reporter.failed_scripts)} failed")


def _match_spec(dependency: str) -> t.Any:
    import rattler
    from rattler import exceptions

    try:
        return rattler.MatchSpec(dependency)
    except exceptions.InvalidMatchSpecError as error:
        raise BuildError(f"{mask(dependency)!r} is not a conda dependency: {mask(str(error))}") from error


def _virtual_package(package: VirtualPackage) -> t.Any:
    from rattler import GenericVirtualPackage, PackageName, Version, exceptions
    from rattler.package import BuildString

    try:
        version = Version(package.version)
    except exceptions.InvalidVersionError as error:
        raise BuildError(f"virtual package {package.name}: {package.version!r} is not a version") from error
    return GenericVirtualPackage(PackageName(package.name), version, BuildString(package.build))


def _detected() -> list[VirtualPackage]:
    import rattler

    generic = (package.into_generic() for package in rattler.VirtualPackage.detect())
    return [VirtualPackage(*str(package).split("=", 2)) for package in generic]


def _package(record: t.Any) -> dict[str, str]:
    index = {**json.loads(record.to_json()), "channel": record.channel}
    return conda_package(index).to_json()
