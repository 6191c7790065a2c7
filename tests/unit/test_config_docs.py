# SPDX-License-Identifier: MIT
"""docs/config.md says what the table of options says."""

from devtools import config_docs


def test_the_page_of_options_is_current():
    assert config_docs.PATH.read_text() == config_docs.render()
