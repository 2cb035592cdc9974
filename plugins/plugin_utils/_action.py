# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What every action plugin of the collection does the same way: errors, clean-up, following progress."""

from __future__ import annotations

import abc
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError
from ansible_collections.airgap.conda.plugins.plugin_utils._progress import follow

#: Transports whose hosts are this machine, under this user.
LOCAL_TRANSPORTS = ("local", "ansible.builtin.local")


class AirgapAction(ActionBase, abc.ABC):
    """Base of the controller halves; subclasses write M(reconcile) only."""

    _supports_check_mode = True
    _supports_async = False
    _supports_diff = True

    #: From which -v on progress is shown.
    progress_verbosity = 0

    @abc.abstractmethod
    def reconcile(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the work and return the task's result; may raise C(AirgapError)."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            result.update(self.reconcile(task_vars or {}))
        except AirgapError as error:
            # Ansible would append the cause, whose text this is.
            raise AnsibleActionFail(str(error), result=result) from None
        except OSError as error:
            reason = f"{error.filename or 'a file'}: {error.strerror or error}; this is on the controller, run again"
            raise AnsibleActionFail(reason, result=result) from None
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    @property
    def is_local(self) -> bool:
        """Whether the task runs on this machine, so that its files need no sending."""
        return self._connection.transport in LOCAL_TRANSPORTS

    @property
    def becomes(self) -> bool:
        """Whether modules run as another user than the one who connects."""
        return self._connection.become is not None

    def caller_path(self, path: str) -> str:
        """Make *path* absolute from the directory in which the user started Ansible."""
        return os.path.abspath(os.path.expanduser(path))

    def with_caller_paths(self, arguments: dict[str, t.Any], *names: str) -> dict[str, t.Any]:
        """Return *arguments* with those of *names* that are given, a path or a list of them, made absolute."""
        found = dict(arguments)
        for name in filter(found.get, names):
            given = found[name]
            found[name] = [*map(self.caller_path, given)] if isinstance(given, list) else self.caller_path(given)
        return found

    def execute(self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run C(airgap.conda.<module>) and show what it says while it works."""
        with follow(self, task_vars.get("inventory_hostname", "localhost"), self.progress_verbosity) as progress_file:
            result: dict[str, t.Any] = self._execute_module(
                module_name=f"airgap.conda.{module}",
                module_args={**arguments, "progress_file": progress_file},
                task_vars=task_vars,
            )
        return result
