# SPDX-License-Identifier: Apache-2.0
"""How PlatformIO builds a harembed project: all C sources, one linker script, an ELF file and a flat BIN file.

The environment in platformio.ini says which compiler (custom_toolchain = gcc or zig), how the target is called
(custom_target_flags, used for compiling and linking) and how the board is flashed (custom_openocd_config).
custom_outside names a JSON file of foreign sources: groups of files of the folder `outside`, each with its flags.
"""

import json
import os
import shlex

from elftools.elf.elffile import ELFFile
from SCons.Script import AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
target_flags = shlex.split(env.GetProjectOption("custom_target_flags"))
linker_script = "link.ld"  # PlatformIO runs compilers in the project folder; a full path could have spaces

if env.GetProjectOption("custom_toolchain") == "zig":
    compiler, archiver = '"$PYTHONEXE" -m ziglang cc', '"$PYTHONEXE" -m ziglang ar'
    cxx = '"$PYTHONEXE" -m ziglang c++'
    # 64-bit arithmetic needs the runtime routines, which -nostdlib drops unless -rtlib follows it; without
    # -e zig looks for _start.
    libraries, runtime_flags = [], ["-rtlib=compiler-rt", "-Wl,-e,Reset_Handler"]
else:
    prefix = os.path.join(env.GetProjectOption("custom_toolchain_dir", ""), "arm-none-eabi-")
    compiler, cxx, archiver = prefix + "gcc", prefix + "g++", prefix + "ar"
    build_dir = os.path.relpath(env.subst("$BUILD_DIR"), env.subst("$PROJECT_DIR"))
    libraries, runtime_flags = ["gcc"], [f"-Wl,-Map={os.path.join(build_dir, 'firmware.map')}"]

env.Replace(
    CC=compiler,
    CXX=cxx,
    LINK=compiler,
    AR=archiver,
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZETOOL=None,
)
env.Append(
    # No path of this machine in the image: the same sources give the same bytes anywhere. SCons leaves what is
    # between $( and $) out of an object's signature, so that its cache serves other projects too.
    CCFLAGS=[*target_flags, "$(", f"-ffile-prefix-map={env.subst('$PROJECT_DIR')}=.", "$)"],
    LINKFLAGS=[
        *target_flags, "-nostdlib", *runtime_flags, "-static", "-Wl,--gc-sections", "-T", linker_script
    ],
    LIBS=libraries,
)


def write_flat_image(target, source, env):
    """Lay the loadable segments of an ELF file out by their load addresses; gaps are filled with zeros."""
    with open(str(source[0]), "rb") as f:
        segments = [(s["p_paddr"], s.data()) for s in ELFFile(f).iter_segments("PT_LOAD") if s["p_filesz"] > 0]
    start = min(address for address, _ in segments)
    image = bytearray(max(address + len(data) for address, data in segments) - start)
    for address, data in segments:
        image[address - start : address - start + len(data)] = data
    with open(str(target[0]), "wb") as f:
        f.write(image)


def foreign_objects(group):
    """Compile one group of foreign sources by its own flags; our warnings are not theirs."""
    own = env.Clone()
    own.Append(CCFLAGS=group["flags"], CXXFLAGS=group["cxx_flags"],
               CPPPATH=[os.path.join("$PROJECT_DIR", "outside", path) for path in outside["include"]])
    return [own.StaticObject(os.path.join("$BUILD_DIR", "outside", f"{path}.o"),
                             os.path.join("$PROJECT_DIR", "outside", path)) for path in group["sources"]]


if env.GetProjectOption("custom_outside", ""):
    with open(os.path.join(env.subst("$PROJECT_DIR"), env.GetProjectOption("custom_outside"))) as f:
        outside = json.load(f)
    # One archive: the linker takes from it what is called, in whatever order its members call each other.
    objects = [o for group in outside["groups"] for o in foreign_objects(group)]
    env.Prepend(LIBS=[env.StaticLibrary(os.path.join("$BUILD_DIR", "outside"), objects), *outside["libraries"]])
    env.Append(CXXFLAGS=outside["cxx_flags"])

env.Append(BUILDERS={"FlatImage": Builder(action=env.VerboseAction(write_flat_image, "Building $TARGET"))})

program = env.BuildProgram()
env.NoCache(program)  # the cache would bring it without its link map
env.Depends(program, env.File(os.path.join(env.subst("$PROJECT_DIR"), linker_script)))
flat_image = env.FlatImage(os.path.join("$BUILD_DIR", "firmware.bin"), program)
AlwaysBuild(env.Alias("nobuild", [program, flat_image]))
Default([program, flat_image])

openocd_config = env.GetProjectOption("custom_openocd_config", "")
if openocd_config:
    env.AddPlatformTarget(
        "upload",
        program,
        env.VerboseAction(f'openocd -f {openocd_config} -c "program $SOURCE verify reset exit"', "Flashing $SOURCE"),
        "Upload",
    )
