# SPDX-License-Identifier: Apache-2.0
"""Tells the stock platform what it does not know by itself: the FPU, and that startup and libc are ours.

Runs before the platform's own script: what is added afterwards reaches the linker, but no compiler.
"""

import shlex

Import("env")  # noqa: F821  (PlatformIO provides it)
flags = shlex.split(env.GetProjectOption("custom_target_flags"))  # noqa: F821
paths = f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=."  # noqa: F821
env.Append(CCFLAGS=[*flags, paths], LINKFLAGS=[*flags, "-nostdlib", "-static"])  # noqa: F821
