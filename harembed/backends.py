"""What computes a model on the device: our own kernels, CMSIS-NN called directly, or TFLite Micro.

All are behind he_model_invoke(): application, ports and harness do not know which is linked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harembed.cost.memory import MemoryPlan, plan_memory
from harembed.cost.work import Work, work_of
from harembed.cost.work_cmsis_nn import cmsis_nn_work
from harembed.errors import GraphError, unknown_name
from harembed.export.cmsis_nn import Refusal, cmsis_nn_form
from harembed.export.csource import generate, memory_plan
from harembed.export.tflm import generate_tflm, kernel_stems
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, Goal
from harembed.libraries import Collected, SourceGroup, collect, find_library

BackendName = Literal["own", "cmsis_nn", "tflm"]
WorkOf = Callable[[IntGraph, Node, Goal], Work | None]

# As TFLite Micro's makefile compiles itself with BUILD_TYPE=release: core for size, kernels for speed, no messages.
_TFLM_FLAGS = ("-DNDEBUG", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DTF_LITE_STATIC_MEMORY",
               "-DTF_LITE_DISABLE_X86_NEON", "-DCMSIS_NN", "-DKERNELS_OPTIMIZED_FOR_SPEED", "-fno-unwind-tables",
               "-fno-asynchronous-unwind-tables", "-fmessage-length=0")
_CXX_FLAGS = ("-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics", "-fno-use-cxa-atexit")


@dataclass(frozen=True)
class Backend:
    """One way to compute a model.

    Attributes
    ----------
    sources : (graph, goal) -> {file: text}
    plan : graph -> memory plan; of TFLite Micro, which places tensors itself, that of the tensors alone
    outside : graph -> foreign sources
    fallbacks : graph -> {node: why it runs on our portable kernel instead}
    libraries : that must be here, by their names in harembed.libraries
    places_tensors : whether the arena is laid out at run time, so that its size is known after a first run
    goals : that its code can be made for
    work : (graph, node, goal) -> what the latency model counts, None for a node without code; None if nobody counts
    """

    title: str
    sources: Callable[[IntGraph, Goal], dict[str, str]]
    plan: Callable[[IntGraph], MemoryPlan]
    outside: Callable[[IntGraph], tuple[Collected, ...]] = lambda graph: ()
    fallbacks: Callable[[IntGraph], dict[str, str]] = lambda graph: {}
    libraries: tuple[str, ...] = ()
    places_tensors: bool = False
    goals: tuple[Goal, ...] = ("balanced",)
    work: WorkOf | None = None


def _cmsis_nn_outside(graph: IntGraph) -> tuple[Collected, ...]:
    return (collect("cmsis_nn", ("Include/**/*.h", "Source/**/*.h"), [(("Source/**/*.c",), SourceGroup((), ()))],
                    include=("", "Include"), without=r"_f16\.|_f32\.|_flt\."),)


def _cmsis_nn_fallbacks(graph: IntGraph) -> dict[str, str]:
    forms = {n.name: cmsis_nn_form(graph, n) for n in graph.nodes if not OPS[n.op].view}
    return {name: form.reason for name, form in forms.items() if isinstance(form, Refusal)}


def _cmsis_nn_work(graph: IntGraph, node: Node, goal: Goal) -> Work | None:
    if OPS[node.op].view:
        return None
    form = cmsis_nn_form(graph, node)
    if isinstance(form, Refusal):
        return work_of(graph, node, None)
    return cmsis_nn_work(form.function, form.params, form.values)


def _tflm_outside(graph: IntGraph) -> tuple[Collected, ...]:
    micro, lite = "tensorflow/lite/micro", "tensorflow/lite"
    core = (f"{micro}/*.cc", f"{micro}/arena_allocator/*.cc", f"{micro}/memory_planner/*.cc",
            f"{micro}/tflite_bridge/*.cc", f"{micro}/kernels/kernel_util.cc", f"{lite}/core/**/*.cc",
            f"{lite}/kernels/*.cc", f"{lite}/kernels/internal/**/*.cc", "tensorflow/compiler/mlir/lite/**/*.cc")
    kernels = [f"{micro}/kernels/micro_tensor_utils.cc"]
    for stem in kernel_stems(graph):
        # A kernel in the folder cmsis_nn replaces the one of its name.
        kernels += [f"{micro}/kernels/{stem}_common.cc", f"{micro}/kernels/cmsis_nn/{stem}.cc"]
        kernels += [] if stem in CMSIS_NN_KERNELS else [f"{micro}/kernels/{stem}.cc"]
    left_out = r"_test\.|test_help|mock_|fake_|recording_|micro_profiler\.cc|debug_log\.cc|hexdump|/testing/|/python/"
    tflm = collect("tflm", ("tensorflow/**/*.h", "signal/micro/kernels/*.h"),
                   [(core, SourceGroup((), ("-Os", *_TFLM_FLAGS), _CXX_FLAGS)),
                    (kernels, SourceGroup((), ("-O2", *_TFLM_FLAGS), _CXX_FLAGS))], without=left_out)
    return (*_cmsis_nn_outside(graph), tflm,
            collect("flatbuffers", ("include/flatbuffers/*.h",), (), include=("include",)),
            collect("gemmlowp", ("fixedpoint/*.h", "internal/*.h"), ()),
            collect("ruy", ("ruy/profiler/*.h",), ()))


# Stems of tensorflow/lite/micro/kernels/cmsis_nn/*.cc.
CMSIS_NN_KERNELS = frozenset({
    "add", "batch_matmul", "conv", "depthwise_conv", "fully_connected", "maximum_minimum", "mul", "pad", "pooling",
    "softmax", "svdf", "transpose", "transpose_conv", "unidirectional_sequence_lstm"})

BACKENDS: dict[BackendName, Backend] = {
    "own": Backend("harembed's own kernels", lambda graph, goal: generate(graph, optimize=goal), plan_memory,
                   goals=GOALS, work=work_of),
    "cmsis_nn": Backend("CMSIS-NN, called directly", lambda graph, goal: generate(graph, kernels="cmsis_nn"),
                        lambda graph: memory_plan(graph, "cmsis_nn"), _cmsis_nn_outside, _cmsis_nn_fallbacks,
                        ("cmsis_nn",), work=_cmsis_nn_work),
    "tflm": Backend("TFLite Micro with CMSIS-NN", lambda graph, goal: generate_tflm(graph),
                    lambda graph: plan_memory(graph, in_place=False), _tflm_outside,
                    libraries=("cmsis_nn", "tflm", "flatbuffers", "gemmlowp", "ruy"), places_tensors=True),
}


def backend(name: str) -> Backend:
    """A backend by name.

    Raises
    ------
    GraphError    there is none of this name; the nearest is told
    """
    if name not in BACKENDS:
        raise GraphError(unknown_name("backend", name, list(BACKENDS)), f"Choose one of {', '.join(BACKENDS)}.")
    return next(chosen for key, chosen in BACKENDS.items() if key == name)


def need_libraries(name: str) -> None:
    """See that all foreign sources of a backend are here; download what can be.

    Raises
    ------
    BuildError    says what is missing and which variable names it
    """
    for library in backend(name).libraries:
        find_library(library)
