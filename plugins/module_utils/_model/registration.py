# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Registration as data: which files, links and lines make conda, shells, users and Jupyter know one. Pure."""

from __future__ import annotations

import hashlib
import json
import shlex
import types
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    Order,
    Registration,
    parse_registration,
)

FILE = "file"
LINK = "link"
LINE = "line"
DIRECTORY = "directory"
_KINDS = (FILE, LINK, LINE, DIRECTORY)

_MADE = "Made by airgap.conda"
#: Bytes of a name that every file system takes, less what is put behind it meanwhile.
_NAME_MAX = 240


class Mark(t.NamedTuple):
    """One thing that registration puts on a host."""

    #: 'file' (all of it ours), 'link', 'line' (one of a file that is others'), or 'directory' (others may be in it).
    kind: str
    path: str
    #: Of a file its text, of a link its target, of a line the line.
    text: str
    #: Who owns the file of a line; empty for the one who deploys.
    user: str = ""

    @property
    def sentence(self) -> str:
        """What putting it there does."""
        if self.kind == LINE:
            return f"add {self.text} to {self.path}"
        if self.kind == LINK:
            return f"link {self.path} to {self.text}"
        return f"make {self.path}" if self.kind == DIRECTORY else f"write {self.path}"


class Scope(t.NamedTuple):
    """Whose registration it is: the system's (root), or one user's in the home directory."""

    system: bool
    home: str
    #: Of each user of the order.
    homes: t.Dict[str, str]


#: Name and value of each.
Variables = t.Mapping[str, str]
_NONE: Variables = types.MappingProxyType({})


def wanted_marks(
    order: Order, scope: Scope, python_libraries: t.Sequence[str], variables: Variables = _NONE
) -> list[Mark]:
    """Return everything that registers *order*.

    *python_libraries* are its C(lib/pythonX.Y), below the prefix; *variables* are those that activating it sets.
    """
    return [
        *_conda(order, scope),
        *_users(order, scope),
        *named_marks(order, scope, variables),
        *_frozen(order, python_libraries),
    ]


def named_marks(order: Order, scope: Scope, variables: Variables = _NONE) -> list[Mark]:
    """Return those whose paths are made of names alone, so that an environment elsewhere may want them otherwise."""
    return [*_profile(order, variables), *_commands(order, scope), *_kernel(order, scope, variables)]


def _conda(order: Order, scope: Scope) -> t.Iterator[Mark]:
    """A drop-in for conda, with conda's own directory first: else environments that it creates would land in ours."""
    own = f"{order.register.conda_root}/envs"
    if order.envs_dir == own:
        return
    directory = "/etc/conda/condarc.d" if scope.system else f"{scope.home}/.conda/condarc.d"
    # One name for one directory: /a/b and /a_b are two.
    name = "airgap" + order.envs_dir.replace("%", "%25").replace("_", "%5F").replace("/", "_")
    if len(name.encode("utf-8", "surrogateescape")) > _NAME_MAX:
        name = "airgap-" + hashlib.sha256(order.envs_dir.encode("utf-8", "surrogateescape")).hexdigest()
    first = own if scope.system else f"{scope.home}/.conda/envs"
    listed = dict.fromkeys((own, first, order.envs_dir))
    text = f"# {_MADE}; removed with the last environment in {order.envs_dir}.\nenvs_dirs:\n"
    yield Mark(FILE, f"{directory}/{name}.yml", text + "".join(f"  - {json.dumps(path)}\n" for path in listed))


def _users(order: Order, scope: Scope) -> t.Iterator[Mark]:
    for user in order.register.users:
        yield Mark(LINE, f"{scope.homes[user]}/.conda/environments.txt", order.prefix, user)


def _profile(order: Order, variables: Variables) -> t.Iterator[Mark]:
    if order.register.profile:
        yield Mark(FILE, f"/etc/profile.d/airgap-{order.name}.sh", profile_text(order, variables))


def profile_text(order: Order, variables: Variables = _NONE) -> str:
    """Return a login-shell snippet that activates the environment, with or without a conda."""
    prefix = shlex.quote(order.prefix)
    # As conda does it, before the scripts of packages.
    exports = "".join(f"    export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    return f"""\
# {_MADE}: activates {order.prefix} in login shells.
if [ -d {prefix}/bin ]; then
    CONDA_PREFIX={prefix}
    CONDA_DEFAULT_ENV={shlex.quote(order.name)}
    PATH="$CONDA_PREFIX/bin:$PATH"
    export CONDA_PREFIX CONDA_DEFAULT_ENV PATH
{exports}    for _airgap_script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
        [ ! -r "$_airgap_script" ] || . "$_airgap_script"
    done
    unset _airgap_script
fi
"""


def _commands(order: Order, scope: Scope) -> t.Iterator[Mark]:
    directory = "/usr/local/bin" if scope.system else f"{scope.home}/.local/bin"
    for command in order.register.commands:
        yield Mark(LINK, f"{directory}/{command}", f"{order.prefix}/bin/{command}")


def _kernel(order: Order, scope: Scope, variables: Variables) -> t.Iterator[Mark]:
    """A kernel for every Jupyter of the host, or of the user; its name takes no plus sign."""
    if not order.register.kernel:
        return
    data = "/usr/local/share" if scope.system else f"{scope.home}/.local/share"
    directory = f"{data}/jupyter/kernels/airgap-{order.name.replace('+', '-plus-').lower()}"
    kernel: dict[str, t.Any] = {
        "argv": [f"{order.prefix}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": order.name,
        "language": "python",
        "metadata": {"debugger": True},
    }
    if variables:
        # Jupyter puts other variables in where it finds a dollar.
        kernel["env"] = {name: value.replace("$", "$$") for name, value in sorted(variables.items())}
    yield Mark(DIRECTORY, directory, "")
    yield Mark(FILE, f"{directory}/kernel.json", json.dumps(kernel, indent=1) + "\n")


def _frozen(order: Order, python_libraries: t.Sequence[str]) -> t.Iterator[Mark]:
    """conda's marker (CEP 22), and pip's (PEP 668), which ignores the first."""
    if not order.register.frozen:
        return
    message = f"{order.prefix} was deployed by airgap.conda and is changed by deploying a new bundle"
    yield Mark(FILE, f"{order.prefix}/conda-meta/frozen", json.dumps({"message": message}) + "\n")
    for library in python_libraries:
        text = f"[externally-managed]\nError={message}.\n"
        yield Mark(FILE, f"{order.prefix}/{library}/EXTERNALLY-MANAGED", text)


class Record(t.NamedTuple):
    """What the store knows of registration."""

    #: As it was asked for.
    register: Registration = Registration()
    #: What that put on the host.
    marks: t.Tuple[Mark, ...] = ()


def render_record(record: Record) -> bytes:
    """Return *record* as it is kept in the store."""
    fields = {"register": record.register._asdict(), "marks": [list(mark) for mark in record.marks]}
    return (json.dumps(fields, indent=1) + "\n").encode("ascii")


def parse_record(text: bytes, where: str) -> Record:
    """Return what M(render_record) wrote to *where*; raise C(BundleError) when it is damaged."""
    try:
        fields = json.loads(text)
        marks = tuple(Mark(*mark) for mark in fields["marks"])
        if any(mark.kind not in _KINDS or not all(isinstance(part, str) for part in mark) for mark in marks):
            raise ValueError("a mark of no kind")
        return Record(parse_registration(fields["register"]), marks)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{where}: the record of registration is damaged ({error}); remove it by hand and run again"
        ) from None
