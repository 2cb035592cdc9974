# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

from hypothesis import settings

# The same examples in every run, and nothing kept beside the sources. HYPOTHESIS_PROFILE=thorough looks for new ones.
settings.register_profile("airgap", database=None, deadline=None, derandomize=True)
settings.register_profile("thorough", database=None, deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "airgap"))
