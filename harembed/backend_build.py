"""The image of a board with one backend. TFLite Micro's arena takes two builds: the first tells how much it uses."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harembed import harness
from harembed.backends import backend
from harembed.board import Board
from harembed.build import FirmwareImage, build_firmware, build_host
from harembed.errors import BuildError, HarnessError
from harembed.export.tflm import ALIGNMENT, arena_bound, generate_tflm
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.libraries import LIBRARIES, Collected


@dataclass(frozen=True)
class BackendImage:
    """An image, and the foreign sources that it was built from.

    Attributes
    ----------
    arena_computed : bytes that a first build reserved, from sizes in a table; None if the plan is exact at once
    arena_used : bytes that the interpreter then reported
    """

    image: FirmwareImage
    outside: tuple[Collected, ...]
    arena_computed: int | None = None
    arena_used: int | None = None


def build_backend(graph: IntGraph, name: str, board: Board, out_dir: Path, toolchain: str | None = None,
                  goal: Goal = "balanced", optimise: str = "O2") -> BackendImage:
    """Generate and build.

    Parameters
    ----------
    name : str      a key of harembed.backends.BACKENDS
    goal : Goal     of our own kernels; other backends have one form

    Raises
    ------
    BuildError, BoardError    as build_firmware; foreign sources are not here
    HarnessError              TFLite Micro does not start with the arena that it asked for
    """
    chosen = backend(name)
    outside = chosen.outside(graph)

    def build(sources: dict[str, str]) -> FirmwareImage:
        return build_firmware(sources, board, out_dir, toolchain, optimise, outside=outside)

    if not chosen.places_tensors:
        return BackendImage(build(chosen.sources(graph, goal)), outside)
    computed = arena_bound(graph)
    used = _arena_used(build(generate_tflm(graph, computed)), board)
    if not 0 < used <= computed:
        raise HarnessError(f"TFLite Micro does not start on {board.name} with an arena of {computed:,} bytes.",
                           "Look for an operator or a version that it does not have.")
    # It cuts both ends of what it is given to its alignment; while it places many tensors, it needs more for a moment
    # than it reports when it is done.
    for size in _sizes(used, computed):
        image = build(generate_tflm(graph, size))
        if _arena_used(image, board):
            break
    return BackendImage(image, outside, computed, used)


def _sizes(used: int, computed: int) -> Iterator[int]:
    """Arenas to try, the least first; the last is known to be enough."""
    least = -(-used // ALIGNMENT) * ALIGNMENT
    more = 0
    while least + more < computed:
        yield least + more
        more = 2 * more or -(-used // (8 * ALIGNMENT)) * ALIGNMENT
    yield computed


def _arena_used(image: FirmwareImage, board: Board) -> int:
    """What the interpreter on the simulated board reports after it has placed its tensors; 0 if it could not."""
    with harness.connect(board, image.elf) as device:
        return device.info().arena_bytes


def host_program(graph: IntGraph, name: str, folder: Path, goal: Goal, dsp_emulation: bool = False) -> Path:
    """The program for this computer; only our own kernels are built for it.

    Raises
    ------
    BuildError    for another backend
    """
    if name != "own":
        raise BuildError(f"The backend {name} is built for boards, not for this computer.", "Use --backend own.")
    return build_host(backend(name).sources(graph, goal), folder, dsp_emulation=dsp_emulation)


def sources_of(images: Sequence[BackendImage]) -> dict[str, dict[str, str | int | None]]:
    """What foreign sources images were built from."""
    return outside_facts(library for built in images for library in built.outside)


def outside_facts(libraries: Iterable[Collected]) -> dict[str, dict[str, str | int | None]]:
    """{library: title, revision, hash and count of its files}.

    `tested` is the revision that this project was tested with; `revision` is None where the folder is no checkout.
    """
    return {library.name: {"title": library.title, "revision": library.revision,
                           "tested": LIBRARIES[library.name].revision, "files": len(library.files),
                           "sha256": library.sha256}
            for library in libraries}
