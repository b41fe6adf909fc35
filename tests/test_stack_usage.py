"""The deepest stack from the compiler's call graph."""

import shutil
import subprocess

import pytest

from harembed.stack_usage import CallGraph, deepest, read_call_graph

SOURCE = """
int leaf(volatile int *);
__attribute__((noinline)) static int middle(void) { volatile int a[50]; a[0] = 1; return leaf(a) + 1; }
__attribute__((noinline)) static int shallow(void) { volatile int a[5]; a[0] = 1; return leaf(a) + 2; }
int top(int n) { return (n ? middle() : shallow()) + 3; }
int through_pointer(int (*f)(void)) { return f() + 1; }
int recursive(volatile int n) { return n ? recursive(n - 1) + 1 : 0; }
int foreign(void); int calls_foreign(void) { return foreign() + 1; }
"""


@pytest.mark.arm_gcc
def test_frames_are_summed_along_the_deepest_path(tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    (tmp_path / "a.c").write_text(SOURCE)
    (tmp_path / "b.c").write_text("int leaf(volatile int *p) { volatile int a[4]; a[0] = *p; return a[0]; }")
    subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-O1", "-fno-optimize-sibling-calls",
                    "-fcallgraph-info=su", "-c", "a.c", "b.c"], cwd=tmp_path, check=True)
    graph = read_call_graph(tmp_path.glob("*.ci"))
    middle, leaf = graph.frames["a.c:middle"], graph.frames["leaf"]
    assert (middle, leaf) >= (200, 16)
    assert deepest(graph, "top") == graph.frames["top"] + middle + leaf
    for unbounded in ("through_pointer", "recursive", "calls_foreign", "absent"):
        assert deepest(graph, unbounded) is None


def test_a_function_is_as_deep_as_its_deepest_callee():
    graph = CallGraph({"a": 8, "b": 100, "c": 30, "d": 90}, {"a": {"b", "c"}, "c": {"d"}})
    assert [deepest(graph, name) for name in "abcd"] == [128, 100, 120, 90]
