# SPDX-License-Identifier: MIT
"""What the executable imports first."""

import sys

from tunlite.__main__ import main

sys.exit(main())
