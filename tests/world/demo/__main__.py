# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the README's environment, roll it out to three hosts, show that it works and that a second rollout is idle.

    PYTHONPATH=tests .venv/bin/python -m world.demo

Works in build/demo of the checkout and removes that when it ends, in whatever way; --keep leaves it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..ansible import Play
from ..bundles import EXAMPLE
from ..process import WorldError
from . import hosts, kin, source
from .hosts import NAMES, Hosts
from .screen import DemoError, Screen

CHECKOUT = Path(__file__).parents[3]
SCRATCH = CHECKOUT / "build/demo"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: What Ansible and the collection keep in the home directory and in /tmp, kept in the scratch directory.
KEPT_HERE = {
    "XDG_CACHE_HOME": ".cache",
    "TMPDIR": ".tmp",
    "ANSIBLE_HOME": ".ansible",
    "ANSIBLE_REMOTE_TMP": ".ansible/tmp",
}

#: Typed at a shell of each host. The address is one for documentation, which nothing has.
LOOK = '. /etc/os-release; echo "$PRETTY_NAME"; command -v conda || echo "no conda"; '
LOOK += 'bash -c ": </dev/tcp/203.0.113.1/80" 2>&1 | grep -o "Network is unreachable" | head -n 1'
PANDAS = '. /etc/os-release; echo "$PRETTY_NAME"; '
PANDAS += '{prefix}/bin/python -c "import pandas, sys; print(pandas.__name__, pandas.__version__, sys.prefix)"'

_ANSWER = re.compile(r"^(\w+) \| CHANGED \| rc=0 >>\n(.+)\n(pandas \S+) (.+)$", re.MULTILINE)


class Demo:
    """The steps, and what they showed for the summary."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown: list[tuple[str, float, str]] = []

    def run(self) -> None:
        bundle = self._build()
        began = time.monotonic()
        with hosts.started(SCRATCH) as fleet:
            self._note("start of hosts", time.monotonic() - began, fleet.kind)
            self._look(fleet)
            rollout = self._rollout(fleet, bundle)
            self._run_pandas(fleet)
            self._rollout_again(fleet, rollout)
        self._summarize()

    def _build(self) -> str:
        screen = self._screen
        screen.title("1  The builder: environment.yml becomes a bundle")
        extra = self._channel()
        (SCRATCH / "environment.yml").write_text(EXAMPLE)
        screen.type("cat environment.yml")
        screen.type(f"ansible-playbook airgap.conda.build -e env_build_spec=environment.yml{extra}")
        seconds = screen.seconds
        bundle = next(SCRATCH.glob("dist/*.latest")).with_suffix("")
        screen.tell("The bundle is a directory. It is all that has to cross the air gap:")
        screen.type(f"ls -sh {bundle.relative_to(SCRATCH)}/")
        size = sum(file.stat().st_size for file in bundle.iterdir())
        self._note("build", seconds, f"{bundle.resolve().name}, {size / 1e6:.0f} MB, from {self._source}")
        return str(bundle.relative_to(SCRATCH))

    def _channel(self) -> str:
        """What the build command needs beside the spec."""
        self._source = "conda-forge"
        trouble = source.trouble_with("conda-forge")
        if not trouble:
            self._screen.tell("conda-forge answers: the packages come from there.\n")
            return ""
        self._screen.tell(
            f"conda-forge cannot be reached ({trouble}): the packages come from a small local channel with real"
            " CPython, numpy and pandas. The first time it is made, which takes minutes; it is kept in the cache of"
            " the tests."
        )
        self._source = "the local channel"
        channels = json.dumps({"env_build_channels": [source.local_channel()]})
        print(flush=True)
        return f" -e {shlex.quote(channels)}"

    def _look(self, fleet: Hosts) -> None:
        self._screen.title("2  The air gap: three hosts")
        self._screen.tell(fleet.explanation)
        if not fleet.real:
            self._screen.type(f"cat {fleet.inventory}")
            return
        self._screen.tell("They have Python, but no conda and no way out:")
        self._screen.type(f"ansible all -i {fleet.inventory} -m ansible.builtin.shell -a {shlex.quote(LOOK)}")

    def _rollout(self, fleet: Hosts, bundle: str) -> str:
        self._screen.title("3  The controller: the bundle goes live on every host")
        health = shlex.quote('{"env_deploy_health": {"imports": ["pandas"]}}')
        playbook = f"ansible-playbook -i {fleet.inventory} airgap.conda.rollout"
        command = f"{playbook} -e env_deploy_bundle={bundle} -e {health}"
        play = self._screen.type(command)
        _require(play, 1, "the rollout did not change {}")
        self._note("rollout", self._screen.seconds, "changed=1 on " + ", ".join(NAMES))
        return command

    def _run_pandas(self, fleet: Hosts) -> None:
        self._screen.title("4  pandas runs there")
        words = shlex.quote(PANDAS.format(prefix=f"{fleet.environments}/my_env"))
        play = self._screen.type(f"ansible all -i {fleet.inventory} -m ansible.builtin.shell -a {words}")
        answers = {name: rest for name, *rest in _ANSWER.findall(play.output)}
        silent = [name for name in NAMES if name not in answers]
        if silent:
            raise DemoError(f"pandas did not run on {', '.join(silent)}")
        for name in NAMES:
            release, version, prefix = answers[name]
            self._note("pandas", self._screen.seconds, f"{name}: {version} on {release}, from {prefix}")

    def _rollout_again(self, fleet: Hosts, command: str) -> None:
        self._screen.title("5  The same rollout again has nothing to do")
        play = self._screen.type(command)
        _require(play, 0, "the second rollout changed {}")
        self._note("rollout again", self._screen.seconds, "changed=0 on " + ", ".join(NAMES))

    def _note(self, step: str, seconds: float, shown: str) -> None:
        self._shown.append((step, seconds, shown))

    def _summarize(self) -> None:
        self._screen.title("Shown")
        last = ""
        for step, seconds, shown in self._shown:
            head = f"{step:<14} {seconds:6.1f} s" if step != last else " " * 23
            print(f"{head}   {shown}")
            last = step


def _require(play: Play, changed: int, complaint: str) -> None:
    """An error unless every host's recap counts so many changes and nothing went wrong."""
    wrong = [name for name in NAMES if play.recap.get(name, {}).get("changed") != changed]
    if wrong:
        raise DemoError(complaint.format(", ".join(wrong)))


@contextmanager
def _scratch(*, keep: bool) -> Iterator[None]:
    """The scratch directory, new and ours alone."""
    SCRATCH.parent.mkdir(exist_ok=True)
    # Locked as long as this process lives.
    try:
        fcntl.flock(os.open(SCRATCH.parent, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"another demonstration runs in {SCRATCH}") from None
    _remove()
    for directory in KEPT_HERE.values():
        (SCRATCH / directory).mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        # Whoever is impatient now would keep what is to go.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        kin.end_all()
        if not keep:
            _remove()


def _remove() -> None:
    if SCRATCH.exists():
        shutil.rmtree(SCRATCH)


def _interrupt(_number: int, _frame: object) -> None:
    print("\ndemo: interrupted; ends what runs and removes build/demo", file=sys.stderr)
    raise KeyboardInterrupt


def _set_up() -> Screen:
    screen = Screen(SCRATCH, {name: str(SCRATCH / directory) for name, directory in KEPT_HERE.items()})
    screen.tell("airgap.conda: an environment.yml becomes an environment on three hosts that have no network.")
    screen.tell("All of it happens in build/demo of this checkout; so that nothing else is touched, these are set:\n")
    screen.show(f". .venv/bin/activate && cd {SCRATCH.relative_to(CHECKOUT)}")
    screen.show("export " + " ".join(f"{name}=$PWD/{directory}" for name, directory in KEPT_HERE.items()) + "\n")
    return screen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m world.demo", description="Shows a rollout from beginning to end.")
    parser.add_argument("--keep", action="store_true", help="leave build/demo for a look at it")
    keep = parser.parse_args().keep
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    kin.adopt_orphans()
    try:
        with _scratch(keep=keep):
            Demo(_set_up()).run()
    except KeyboardInterrupt:
        print("demo: ended; nothing runs on", file=sys.stderr)
        return 130
    except (DemoError, WorldError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    print(f"\nEnded: no process is left{'' if keep else ', and build/demo is removed'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
