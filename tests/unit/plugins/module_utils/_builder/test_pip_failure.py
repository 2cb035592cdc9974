# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.pip_failure import failure

# As pip 24.0 prints them.
GIT = """\
Collecting git+https://h/x
  Running command git clone https://a:b@h/x /tmp/x
  remote: nothing here
  fatal: repository 'https://h/x' not found
  error: subprocess-exited-with-error

  \u00d7 git clone https://a:b@h/x /tmp/x did not run successfully.
  │ exit code: 128
  ╰─> See above for output.

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: subprocess-exited-with-error
""".splitlines()
BUILD = """\
Processing /w
  Getting requirements to build wheel: finished with status 'error'
  error: subprocess-exited-with-error

  \u00d7 Getting requirements to build wheel did not run successfully.
  │ exit code: 1
  ╰─> [17 lines of output]
          raise RuntimeError("needs a compiler")
      RuntimeError: needs a compiler
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: subprocess-exited-with-error

\u00d7 Getting requirements to build wheel did not run successfully.
│ exit code: 1
╰─> See above for output.
""".splitlines()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["Collecting x", "ERROR: No matching distribution found for x"],
            "ERROR: No matching distribution found for x",
        ),
        (["something", "broke"], "something broke"),
        ([], "it said nothing"),
        (
            [
                "ERROR: No matching distribution found for x",
                "WARNING: Retrying (Retry(total=0)) after connection broken by "
                "'NewConnectionError('<pip.HTTPConnection object at 0x7f>: Failed to establish a new connection: "
                "[Errno 111] Connection refused')': /simple/x/",
            ],
            "ERROR: No matching distribution found for x (the index cannot be reached: "
            "Failed to establish a new connection: [Errno 111] Connection refused)",
        ),
        (GIT, "git clone https://***@h/x /tmp/x did not run successfully: fatal: repository 'https://h/x' not found"),
        (
            BUILD,
            "Getting requirements to build wheel did not run successfully: "
            'raise RuntimeError("needs a compiler") RuntimeError: needs a compiler',
        ),
        (["ERROR: 403 for https://ann:pw@index/simple/x"], "ERROR: 403 for https://***@index/simple/x"),
    ],
)
def test_failures_are_one_line_without_credentials(lines: list[str], message: str) -> None:
    assert failure(1, lines) == f"pip failed (1): {message}"
