"""The command line: one verb, one function of the pipeline. Errors are printed and exit codes set only here."""

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harembed import cli_attributes, cli_combine, cli_compress, cli_predictor, cli_reproduce, cli_search
from harembed.cli_options import (
    BACKENDS,
    GOALS,
    BackendOption,
    BoardOption,
    OnOption,
    OptimizeOption,
    PortOption,
    RootOption,
    RunArgument,
    ToolchainOption,
)
from harembed.errors import HarembedError

_TERMINATED = 128 + signal.SIGTERM  # as shells count it

app = typer.Typer(
    name="harembed", no_args_is_help=True, add_completion=False, rich_markup_mode="rich",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    help="From motion recordings, or any int8 .tflite, to a verified microcontroller firmware.\n\n"
         "[bold]harembed search --board nucleo_l552ze_q[/bold] does it all: it searches a network that fits the "
         "board, quantises it to int8, builds a firmware, runs it on a simulator of the board and proves that it "
         "computes the same bits as the host. [bold]harembed compile model.tflite[/bold] does the same from a model "
         "that you have.",
)
app.add_typer(cli_predictor.app, name="predictor")
console = Console()
errors = Console(stderr=True)


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the verb."""


app.command("search", epilog=cli_search.SEARCH_EPILOG)(cli_search.search)
app.command("sweep", epilog=cli_search.SWEEP_EPILOG)(cli_search.sweep)
app.command("compress", epilog=cli_compress.EPILOG)(cli_compress.compress)
app.command("combine", epilog=cli_combine.EPILOG)(cli_combine.combine)
app.command("attributes", epilog=cli_attributes.EPILOG)(cli_attributes.attributes)
app.command("reproduce", epilog=cli_reproduce.EPILOG)(cli_reproduce.reproduce)


@app.command("compile", epilog="Examples:  harembed compile model.tflite --board nucleo_l552ze_q\n\n"
                               "harembed compile model.tflite --inputs windows.npy --out runs/mine\n\n"
                               "harembed profile runs/mine --html profile.html")
def compile_model(
    model: Annotated[Path, typer.Argument(help="An int8 .tflite, quantised with int8 inputs and outputs.",
                                          metavar="MODEL.tflite")],
    board: BoardOption = "nucleo_l552ze_q",
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/<model>-<board>.")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Inputs to compare on, besides random ones: .npy [N, ...] of "
                                                     "the input's type, or .npz with an array of each input's name.")]
    = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random inputs.")] = 2024,
    optimize: OptimizeOption = None,
    backend: BackendOption = None,
    toolchain: ToolchainOption = None,
) -> None:
    """Compile any int8 .tflite: C, firmware, simulation, proof of equal bits, report. Needs no training data.

    200 random inputs, the constant extremes and those of --inputs go through
    TFLM, the C on the host, QEMU and the simulated board: all outputs must agree.

    An operator that is not supported is named, and nothing is written.
    A killed run resumes with the same command.
    """
    from harembed import pipeline

    pipeline.compile_model(model, board, out, inputs, seed, console, toolchain,
                           GOALS[optimize] if optimize else None, BACKENDS[backend] if backend else None)


@app.command(epilog="Examples:  harembed bench runs/watch-nucleo_l552ze_q\n\n"
                    "harembed bench runs/watch-nucleo_l552ze_q --port /dev/ttyACM0 --repeats 200")
def bench(run: RunArgument, on: OnOption = None, port: PortOption = None,
          repeats: Annotated[int, typer.Option(min=1, help="Inferences to time.")] = 20,
          json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None) -> None:
    """Time the firmware of a run: on a board by its cycle counter, on a simulator in instructions.

    `harembed profile` tells where the time goes.
    """
    from harembed import pipeline

    pipeline.bench(run, on and on.value, port, repeats, json_out, console)


@app.command(epilog="Examples:  harembed profile runs/watch-nucleo_l552ze_q --html profile.html\n\n"
                    "harembed profile runs/watch-nucleo_l552ze_q --port /dev/ttyACM0 --json profile.json")
def profile(run: RunArgument, on: OnOption = None, port: PortOption = None,
            repeats: Annotated[int, typer.Option(min=1, help="Inferences to time as a whole.")] = 20,
            html_out: Annotated[Path | None, typer.Option("--html", help="Write a page with plots here.")] = None,
            json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None) -> None:
    """Show where the time of one inference goes: by layer, with MACs and bytes moved, and by function.

    On the simulated board: executed instructions and cycles by the board's cycle model.
    With --port: cycles by the counter of a real board, beside these.
    """
    from harembed import pipeline

    pipeline.profile(run, on and on.value, port, repeats, html_out, json_out, console)


@app.command("fit-latency", epilog="Examples:  harembed fit-latency --board nucleo_l552ze_q\n\n"
                                   "harembed fit-latency --board nucleo_l552ze_q --backend cmsis_nn")
def fit_latency(board: BoardOption = "nucleo_l552ze_q", backend: BackendOption = None,
                out: Annotated[Path | None, typer.Option(help="File to write. Default: BOARD.latency.json beside the "
                                                              "board's file.")] = None,
                port: PortOption = None, toolchain: ToolchainOption = None) -> None:
    """Fit the model that predicts a network's time on a board before it is built; takes minutes.

    Hundreds of designed layers run on the simulated board. A quarter of them is kept from the fit, and the error on
    those is printed and stored. Needed again when kernels change. `harembed search --latency` uses it.
    With --port cycles are those of a real board: you are asked to flash a dozen images or more, one after the other.

    What has run is kept: an interrupted fit goes on where it stopped.
    """
    from harembed.board import load_board
    from harembed.latency.fit import fit
    from harembed.latency.on_board import Bench

    measure = Bench(port, console, console.input).cycles if port else None
    fit(load_board(board), console, out, toolchain, BACKENDS[backend] if backend else "own", measure)


@app.command("check-latency", epilog="Examples:  harembed check-latency runs/watch-nucleo_l552ze_q --count 12\n\n"
                                     "harembed check-latency runs/watch-nucleo_l552ze_q --backend cmsis_nn\n\n"
                                     "harembed check-latency --silicon measured.csv --backend cmsis_nn")
def check_latency(runs: Annotated[list[Path] | None, typer.Argument(help="Folders of searches.", metavar="[RUN]...")]
                  = None,
                  board: BoardOption = "nucleo_l552ze_q", backend: BackendOption = None,
                  count: Annotated[int | None, typer.Option(min=1, help="Networks to try, spread over the ledgers. "
                                                            "Default: 12. With --silicon, rows of each kind to "
                                                            "simulate as well. Default: none.")] = None,
                  silicon: Annotated[Path | None, typer.Option(help="Table of operators that TFLite Micro ran on a "
                                                               "real board: .csv with shapes and cycles.")] = None,
                  dispatch: Annotated[int | None, typer.Option(min=0, help="Cycles of a call by TFLite Micro, for "
                                                               "--silicon. Default: 2600.")] = None,
                  optimize: OptimizeOption = None, toolchain: ToolchainOption = None) -> None:
    """Predict networks of search ledgers, simulate each whole, and print the errors of the prediction.

    With --silicon, lay predictions beside the cycles of a real board instead.
    """
    from harembed.board import load_board
    from harembed.cost.latency import load_latency_model
    from harembed.errors import RunError
    from harembed.latency import check as networks
    from harembed.latency import silicon as operators
    from harembed.pipeline import ledger_networks

    if bool(runs) == bool(silicon):
        raise RunError("Give either folders of searches or a table with --silicon.",
                       "harembed check-latency runs/watch-nucleo_l552ze_q")
    on = load_board(board)
    model = load_latency_model(on, BACKENDS[backend] if backend else "own")
    if silicon is not None:
        operators.compare(silicon, model, on, console, operators.DISPATCH_CYCLES if dispatch is None else dispatch,
                          count or 0, toolchain)
    else:
        networks.check(ledger_networks(runs or [], 12 if count is None else count), model, on,
                       GOALS[optimize] if optimize else "balanced", console, toolchain)


@app.command(epilog="Examples:  harembed compare runs/watch-nucleo_l552ze_q\n\n"
                    "harembed compare model.tflite --backends own:speed,own,cmsis_nn --layers")
def compare(
    subject: Annotated[Path, typer.Argument(help="Folder of a run, or an int8 .tflite.", metavar="RUN_OR_MODEL")],
    backends: Annotated[str, typer.Option(help="Of own, own:speed, own:size, cmsis_nn, tflm.")] = "own,cmsis_nn,tflm",
    board: BoardOption = "nucleo_l552ze_q",
    out: Annotated[Path | None, typer.Option(help="Folder for builds and compare.json. Default: "
                                                  "runs/compare-<name>-<board>.")] = None,
    inputs: Annotated[int, typer.Option(min=1, help="Random inputs on which bits are compared.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the random inputs.")] = 2024,
    layers: Annotated[bool, typer.Option("--layers", help="Also by layer.")] = False,
    toolchain: ToolchainOption = None,
) -> None:
    """Build a model on several backends for the simulated board: equal bits, instructions, cycles, flash, RAM, stack.

    CMSIS-NN and TFLite Micro are built from their real sources: checkouts named by HAREMBED_CMSIS_NN and
    HAREMBED_TFLM, or else the pinned revisions, which PlatformIO downloads.
    """
    from harembed import compare as comparison
    from harembed import pipeline

    folder = out or pipeline.default_folder(f"compare-{subject.stem or subject.name}", board)
    columns = comparison.columns(backends)
    report = comparison.compare(subject, columns, board, folder, inputs, seed, console, toolchain)
    comparison.print_comparison(report, console, layers)
    console.print(f"wrote {folder / 'compare.json'}", highlight=False)


@app.command(epilog="Examples:  harembed validate runs/watch-nucleo_l552ze_q --on qemu\n\n"
                    "harembed validate runs/watch-nucleo_l552ze_q --port /dev/ttyACM0")
def validate(run: RunArgument, on: OnOption = None, port: PortOption = None,
             windows: Annotated[int | None, typer.Option(min=1, help="How many to send. Default: all.")] = None,
             data_root: RootOption = None) -> None:
    """Send every test window to the firmware and compare its outputs with the host's, bit for bit.

    A compiled model takes its proof's inputs: random, constant, and those given with --inputs.
    """
    from harembed import pipeline

    report = pipeline.validate(run, on and on.value, port, windows, data_root, console)
    if report.mismatches:
        raise typer.Exit(1)


@app.command(epilog="Example:  harembed export runs/watch-nucleo_l552ze_q --c my_project/harembed "
                    "--tflite model.tflite --onnx model.onnx")
def export(run: RunArgument,
           c: Annotated[Path | None, typer.Option("--c", help="Folder for C sources and a page on the API.")] = None,
           tflite: Annotated[Path | None, typer.Option(help="File for the .tflite.")] = None,
           onnx: Annotated[Path | None, typer.Option(help="File for the ONNX (QDQ).")] = None,
           backend: BackendOption = None) -> None:
    """Write a run's network as C sources for any project, as .tflite, or as ONNX."""
    from harembed import pipeline

    pipeline.export(run, c, tflite, onnx, console, BACKENDS[backend] if backend else None)


@app.command(epilog="Example:  harembed report runs/watch-nucleo_l552ze_q")
def report(run: RunArgument) -> None:
    """Write report.json and report.html of a run again, and print the short version."""
    from harembed import pipeline
    from harembed.rundir import RunDir

    pipeline.write_report(RunDir(run), console)


@app.command(epilog="Example:  harembed boards")
def boards() -> None:
    """List the boards."""
    from harembed.board import board_names, load_board

    table = Table("board", "title", "core", "flash", "RAM", "RAM budget", box=None, header_style="bold")
    for name in board_names():
        b = load_board(name)
        flash, ram = (f"{n:,}" if n else "" for n in (b.flash_bytes, b.ram_bytes))
        table.add_row(name, b.title, b.core.name if b.core else "", flash, ram, f"{b.ram_budget_bytes:,}")
    console.print(table)


@app.command(epilog="Example:  harembed datasets")
def datasets() -> None:
    """List the datasets and describe the csv format."""
    from harembed.data import SPECS
    from harembed.data.csv_format import CSV_FORMAT

    table = Table("dataset", "what it is", box=None, header_style="bold")
    for name, title in SPECS.items():
        table.add_row(name, title)
    console.print(table)
    console.print("\nNAME:SPLIT or --split SPLIT chooses another split: loso=SUBJECT holds one person out; one that\n"
                  "leaks has to be asked for as leaking-random-windows, and the report says so.\n", highlight=False)
    console.print(CSV_FORMAT, markup=False, highlight=False)


@app.command(epilog="Example:  harembed doctor")
def doctor(data_root: RootOption = None) -> None:
    """Say what is installed, what is missing, and what to type."""
    from harembed.doctor import checks

    table = Table("", "what", "found", "needed for", "to fix", box=None, header_style="bold")
    results = checks(data_root)
    for check in results:
        mark = "[green]ok[/green]" if check.ok else "[yellow]--[/yellow]"
        table.add_row(mark, check.name, check.found, check.needed_for, "" if check.ok else check.fix)
    console.print(table)


def main() -> None:
    """Entry point: expected errors in two lines and exit code 2, Ctrl-C as 130, SIGTERM as 143, bugs with their
    traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # processes that train end tidily, too
    # Decided before parsing, so that an error while parsing is covered too.
    debug = "--debug" in sys.argv
    try:
        app()
    except HarembedError as e:
        if debug:
            traceback.print_exc()
        errors.print(f"[bold red]error:[/bold red] {_escape(e.message)}", highlight=False, soft_wrap=True)
        errors.print(f"[bold]try:[/bold]   {_escape(e.hint)}" if e.hint else "[bold]try:[/bold]   harembed doctor",
                     highlight=False, soft_wrap=True)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as e:
        # Typer turns Ctrl-C into exit code 130 by itself.
        code = 130 if isinstance(e, KeyboardInterrupt) else e.code
        if isinstance(code, int) and code in (130, _TERMINATED):
            errors.print("\ninterrupted: finished stages are kept; the same command goes on where it stopped.",
                         soft_wrap=True)
            # Not sys.exit: where Ctrl-C met an import half-way in C, Python would end by the signal, or abort.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        raise


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text.replace("\n", " "))


if __name__ == "__main__":
    main()
