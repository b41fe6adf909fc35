# SPDX-License-Identifier: Apache-2.0
"""A PlatformIO development platform that needs no package: everything is in builder/main.py."""

from platformio.platform.base import PlatformBase


class HarembedPlatform(PlatformBase):
    """Nothing to add: no packages, no boards, no debug servers."""
