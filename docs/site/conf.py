# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site of what antsibull-docs writes; without a network, and every warning is an error."""

from __future__ import annotations

import typing as t

from docutils import nodes

project = "airgap.conda"
title = html_title = html_short_title = "airgap.conda"
copyright = "Contributors to the airgap.conda project"
extensions = ["sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_theme_options = {
    "documentation_home_url": "https://github.com/airgap-conda/airgap.conda",
    "topbar_links": {},
    "show_rtd_ethical_ads": False,
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_use_index = False
html_copy_source = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
# What is typed is shown as it is typed: no curly quotes, no dashes of two hyphens.
smartquotes = False
default_role = "any"
nitpicky = True

_ANSIBLE = "https://docs.ansible.com/ansible/latest"
#: What pages of antsibull-docs refer to in Ansible's own documentation, whose inventory would have to be fetched.
_ELSEWHERE = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}


def _elsewhere(_app: t.Any, _env: t.Any, node: t.Any, content: t.Any) -> t.Any:
    """Return a link to Ansible's own documentation, or None for a reference that is broken."""
    page = _ELSEWHERE.get(node.get("reftarget", ""))
    return page and nodes.reference("", "", content, internal=False, refuri=f"{_ANSIBLE}/{page}")


def setup(app: t.Any) -> None:
    app.connect("missing-reference", _elsewhere)
