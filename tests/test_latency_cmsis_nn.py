"""The latency model of CMSIS-NN: counted without its sources, and against simulation where they are."""

import os
import pty
import select
import shutil
import threading
import tty

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from harembed import libraries
from harembed.backends import BACKENDS
from harembed.board import load_board
from harembed.cli import app
from harembed.cost.block_copies import copy_terms, set_terms
from harembed.cost.latency import kernels_digest, load_latency_model
from harembed.cost.latency_design import designed_layers
from harembed.cost.work_cmsis_nn import COUNTERS
from harembed.errors import BoardError, BuildError, DataError
from harembed.export import cmsis_nn
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.ir.ops import OPS
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.latency import observe, silicon, silicon_rows
from harembed.latency.check import predict, simulate
from harembed.latency.fit import fit
from harembed.latency.on_board import Bench

NUCLEO = load_board("nucleo_l552ze_q")


def work(graph):
    return BACKENDS["cmsis_nn"].work(graph, graph.nodes[0], "balanced")


def test_every_call_and_every_fallback_is_counted():
    assert set(COUNTERS) == {form.function for name, op in OPS.items() for case in op.CASES if not op.view
                             for graph in [case.build(np.random.default_rng(0))]
                             for form in [cmsis_nn.cmsis_nn_form(graph, graph.nodes[0])]
                             if isinstance(form, cmsis_nn.CmsisNnForm)}
    model = load_latency_model(NUCLEO, "cmsis_nn")
    for name, op in OPS.items():
        for case in op.CASES if not op.view else ():
            done = work(case.build(np.random.default_rng(0)))
            assert done.kind in model.coefficients["balanced"], (name, case.name)
            assert min(done.terms.values()) >= 0


@pytest.mark.parametrize("seed", range(20))
def test_patches_are_copied_tap_by_tap(seed):
    """The loops of arm_convolve_s8, gone through one by one: a block for each tap, and all of its bytes."""
    rng = np.random.default_rng(seed)
    h, w, kh, kw, c = (int(n) for n in rng.integers(1, 8, 5))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    graph = Conv2D.case("c", h, w, c, 3, kh, kw, Conv2DAttrs(stride, padding="same")).build(rng)
    p = OPS["conv_2d"].prepare(graph, graph.nodes[0]).params
    terms = work(graph).terms
    if work(graph).kind != "arm_convolve_s8":
        return
    inside = 0
    for oy in range(p.output_h):
        for ox in range(p.output_w):
            for ky in range(kh):
                for kx in range(kw):
                    y, x = oy * stride[0] - p.pad_top + ky, ox * stride[1] - p.pad_left + kx
                    inside += 0 <= y < h and 0 <= x < w
    assert terms["copies by words"] + terms["short copies"] + terms["copies by bytes"] == inside
    assert terms["sets"] == p.output_h * p.output_w * kh * kw - inside
    assert 4 * terms["widened fours"] + terms["widened ones"] == p.output_h * p.output_w * kh * kw * c


def test_blocks_are_taken_apart_as_the_library_does():
    assert copy_terms(1, 1, 0)["short copies"] == 1  # between words and short: byte by byte
    assert copy_terms(7, 2, 3) == copy_terms(7, 0, 1) | {"copies by bytes": 1.0}
    aligned, headed = copy_terms(64 + 16 + 2 * 4 + 3, 0, 0), copy_terms(64 + 16 + 2 * 4 + 3 + 1, 1, 3)
    names = ("copied chunks", "copied quads", "copied words", "copied rests")
    assert [aligned[n] for n in names] == [headed[n] for n in names] == [1.0, 1.0, 2.0, 1.0]
    assert headed["copies after a head"] == 1 and aligned["copies after a head"] == 0
    blocks = set_terms(np.array([0, 1, 9, 40]), np.array([0, 3, 2, 0]))
    assert [blocks[n] for n in ("sets", "set head bytes", "set quads", "set words", "set bytes")] == [4, 3, 2, 3, 3]


def test_without_sources_a_fit_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("HAREMBED_CMSIS_NN", raising=False)
    monkeypatch.setattr(libraries, "_storage", lambda: tmp_path)
    monkeypatch.setattr(libraries, "_HOME", "127.0.0.1")  # nothing listens on its port 443
    with pytest.raises(BuildError, match="HAREMBED_CMSIS_NN is not set"):
        fit(NUCLEO, Console(quiet=True), tmp_path / "x.json", name="cmsis_nn")
    with pytest.raises(BoardError, match="TFLite Micro"):
        fit(NUCLEO, Console(quiet=True), tmp_path / "x.json", name="tflm")
    assert not (tmp_path / "x.json").exists()


def test_the_stored_model_says_what_it_was_fitted_to():
    model = load_latency_model(NUCLEO, "cmsis_nn")
    source = model.facts["sources"]["cmsis_nn"]
    assert source["revision"] == libraries.LIBRARIES["cmsis_nn"].revision and len(source["sha256"]) == 64
    assert "gcc" in model.facts["compiler"]
    assert model.facts["goals"]["balanced"]["held_out"]["cycles"]["mean_percent"] < 5.0
    # Kernels of ours that CMSIS-NN replaces are not its business.
    assert kernels_digest("cmsis_nn") != kernels_digest("own")


TABLE = """op,input,output,kh,kw,sh,sw,padding,act,macs,cycles
conv2d,1x32x3x1,1x16x3x4,5.0,1.0,2.0,1.0,same,relu,960.0,{conv}
conv2d,1x8x3x8,1x8x3x6,1.0,1.0,1.0,1.0,same,relu,1152.0,{pointwise}
add,1x4x5x8x1x4x5x8,1x4x5x8,,,,,,,,{add}
global_average_pooling2d,1x16x5x6,1x6,,,,,,,,9000
conv2d,1x32x3x1,1x99x3x4,5.0,1.0,2.0,1.0,same,relu,960.0,1000
"""


@pytest.fixture
def table(tmp_path):
    def write(**cycles):
        path = tmp_path / "table.csv"
        path.write_text(TABLE.format(**{"conv": 5000, "pointwise": 5000, "add": 5000, **cycles}))
        return path

    return write


def test_predictions_stand_beside_a_table(table):
    model = load_latency_model(NUCLEO, "cmsis_nn")
    said = [predict(graph, model).cycles for row in silicon_rows.read_rows(table())
            for graph in [silicon_rows.graph_of(row)] if not isinstance(graph, str)]
    path = table(conv=round(said[0]) + 100, pointwise=round(1.25 * (said[1] + 100)), add=round(0.8 * (said[2] + 100)))
    console = Console(record=True, width=120)
    found = silicon.compare(path, model, NUCLEO, console, dispatch=100)
    assert [c.row.kind for c in found] == ["conv2d, 1 input channel", "conv2d 1x1", "add"]
    assert [round(c.error, 2) for c in found] == [0.0, -0.2, 0.25]
    text = console.export_text()
    assert "line 5 not predicted" in text and "line 6 not predicted" in text and "(1, 16, 3, 4)" in text
    assert "15.0" in text  # of all rows: (0 + 20 + 25) / 3
    with pytest.raises(BoardError, match="own"):
        silicon.compare(path, load_latency_model(NUCLEO), NUCLEO, console)


@pytest.mark.parametrize("change,message", [
    (("cycles", "ticks"), "no column 'cycles'"), (("1x32x3x1", "1x32xx1"), "line 2"), ((",9000", ",0"), "line 5")])
def test_damaged_tables_are_refused(table, change, message):
    path = table()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError, match=message):
        silicon_rows.read_rows(path)


def test_the_command_wants_folders_or_a_table(table):
    assert CliRunner().invoke(app, ["check-latency"]).exit_code != 0
    done = CliRunner().invoke(app, ["check-latency", "--silicon", str(table()), "--backend", "cmsis_nn"],
                              catch_exceptions=False)
    assert done.exit_code == 0 and "2,600 cycles" in done.output


LAYERS = designed_layers()[::300]
LATER = (LAYERS, "own", "balanced", NUCLEO, NUCLEO.cycle_model, "gcc", lambda *_: None)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory):
    """What a few layers take, in a cache folder of these tests."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(observe.pooch, "os_cache", lambda name: folder)
        yield observe.observe(*LATER)


@pytest.mark.arm_gcc
def test_what_was_simulated_is_kept(modelled, monkeypatch):
    assert all(cycles > instructions > 10 for instructions, cycles in modelled)
    monkeypatch.setattr(observe, "build_firmware", None)
    assert observe.observe(*LATER) == modelled


class _BehindAPort(threading.Thread):
    """The simulated board at the other end of a pseudo terminal."""

    def __init__(self, elf):
        super().__init__(daemon=True)
        self.near, self.far = pty.openpty()
        tty.setraw(self.near)
        tty.setraw(self.far)
        self.path = os.ttyname(self.far)
        self.board = SimulatedL552(elf, "cycles", NUCLEO.cycle_model)
        self.stopped = False

    def run(self):
        while not self.stopped:
            if select.select([self.near], [], [], 0.05)[0]:
                self.board.write(os.read(self.near, 4096))
                if answer := self.board.read(0.0):
                    os.write(self.near, answer)


@pytest.mark.arm_gcc
def test_cycles_come_from_a_board_on_a_port(modelled):
    """The image is flashed while the bench waits; here that means that a simulator of it appears behind the port."""

    def measure(graph, elf, board):
        behind, console = _BehindAPort(elf), Console(record=True)
        behind.start()
        cycles = Bench(behind.path, console, lambda: None).cycles(graph, elf, board)
        behind.stopped = True
        behind.join()
        assert "openocd" in console.export_text() and len(cycles) == len(graph.nodes)
        return [2 * c for c in cycles]  # a board of its own

    for ours, board in zip(modelled, observe.observe(*LATER, measure), strict=True):
        assert board[0] == ours[0] and board[1] == pytest.approx(2 * ours[1], rel=0.05, abs=80)


@pytest.mark.arm_gcc
@pytest.mark.skipif(not libraries.is_here("cmsis_nn"), reason="HAREMBED_CMSIS_NN names no checkout")
def test_a_network_on_cmsis_nn_takes_as_long_as_predicted():
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    from test_latency import DEAR

    from harembed.export.untrained import untrained_graph

    graph = untrained_graph(DEAR)
    predicted = predict(graph, load_latency_model(NUCLEO, "cmsis_nn"))
    instructions, cycles = simulate(graph, "cmsis_nn", NUCLEO, NUCLEO.cycle_model)
    assert predicted.instructions == pytest.approx(instructions, rel=0.05)
    assert predicted.cycles == pytest.approx(cycles, rel=0.1)
