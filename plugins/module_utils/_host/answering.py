# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Answer: what a module returns. The one place where what was raised becomes a failure."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def answer(module: AnsibleModule, work: t.Callable[[], t.Mapping[str, t.Any]], failure: str, place: str) -> None:
    """Do *work*, and end *module* with what it returns.

    An error of the system is told as *failure* says, with C({where}), the file or else *place*, and C({reason}).
    """
    try:
        result = work()
    except AirgapError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=failure.format(where=error.filename or place, reason=error.strerror or error))
    module.exit_json(**result)
