"""The short version of a report, for the end of the terminal output."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def summary(facts: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the figures that matter, each with where it comes from."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for label, value, key in _rows(facts):
        provenance = facts.get(f"{key}_provenance", "")
        table.add_row(f"[dim]{label}[/dim]", f"[bold]{value}[/bold]", f"[dim]{provenance}[/dim]")
    console.print()
    console.print(table)
    if facts["dataset"] is not None:
        if facts["protocol"]["leaking"]:
            console.print("[bold red]The protocol leaks: these scores say nothing about new people.[/bold red]")
        if (by_subject := facts["scores"].get("new_people")) and "macro_f1" in by_subject:
            console.print(f"[bold]macro F1 on new people: {by_subject['macro_f1']:.4f}[/bold], float "
                          f"({by_subject['split']})", highlight=False)
        for warning in facts["scores"]["noise_warnings"]:
            console.print(f"[yellow]{warning}[/yellow]", highlight=False)
    console.print(f"\nreport  {folder / 'report.html'}\nfacts   {folder / 'report.json'}\n"
                  f"image   {folder / facts['build']['elf']}", highlight=False)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    parity, cycles = facts["parity"], facts["cycles_modelled"]
    rows = [("network", escape(facts["architecture"]["text"]), "")]
    if facts["dataset"] is not None:
        rows.append((
            "macro F1, test subjects", f"int8 {facts['macro_f1_int8']:.4f}   float {facts['macro_f1_float']:.4f}   "
            f"post-training int8 {facts['macro_f1_ptq']:.4f}", "macro_f1_int8"))
        if facts["calibration"] is not None:
            before, after = (facts["calibration"]["int8"][k]["error"] for k in ("before", "after"))
            rows.append(("confidence", f"off by {after:.3f} on average (without temperature {before:.3f})",
                         "calibration"))
        if facts["epochs_trained"] is not None:
            rows.append(("search", f"{facts['strategy']}   {len(facts['candidates'])} candidates   "
                         f"{facts['epochs_trained']['total']:,} epochs of training", "epochs_trained"))
    rows += [
        ("size", f"{facts['macs']:,} MACs   {facts['parameters']:,} parameters", "macs"),
        ("peak RAM", f"{facts['peak_ram_bytes']:,} bytes by plan (lower bound "
         f"{facts['peak_ram_lower_bound_bytes']:,}), {facts['peak_ram_elf_bytes']:,} in the ELF",
         "peak_ram_bytes"),
    ]
    if facts["peak_ram_simulated_bytes"] is not None:
        rows.append(("", f"{facts['peak_ram_simulated_bytes']:,} bytes by write trace of the simulator",
                     "peak_ram_simulated_bytes"))
        rows.append(("stack", f"{facts['stack_bytes']:,} bytes were used", "stack_bytes"))
    if facts["invoke_stack_bytes"] is not None:
        rows.append(("", f"{facts['invoke_stack_bytes']:,} bytes can he_model_invoke() take", "invoke_stack_bytes"))
    if facts["flash_bytes"] is not None:
        rows.append(("flash", f"{facts['flash_bytes']:,} of {facts['board']['flash_bytes']:,} bytes", "flash_bytes"))
    rows.append(("kernels", escape(facts["kernels"]["text"]), ""))
    if facts["instructions"] is not None:
        rows.append(("one inference", f"{facts['instructions']:,} instructions", "instructions"))
    if cycles is not None:
        rows.append(("", f"{cycles:,} cycles, {facts['latency_us'] / 1000:.2f} ms at "
                     f"{facts['clock_hz'] / 1e6:.0f} MHz ({facts['cycle_model']['short']})", "cycles_modelled"))
    names = ", ".join(t["name"] for t in parity["targets"] if t["counts"])
    inputs = parity["windows"] + parity["random"]
    rows.append(("parity", f"{parity['mismatches']} of {inputs:,} inputs differ: {names}", "parity"))
    return rows
