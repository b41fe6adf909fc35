"""The house holds: imports go downward, and nothing below the waist needs torch."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "harembed"

# A room may import rooms of a lower level and its own; the top level is one room.
LEVELS = {
    "errors": 0, "resources": 0.1, "rundir": 0.2, "feature_graph": 0.3, "lego": 0.3,
    "board": 1, "libraries": 1, "space": 1, "data": 1, "ir": 1, "published": 1.1,
    "cost": 2, "nn": 2,
    "models": 3, "train": 3,
    "export": 4,
    "search": 5,
    "stack_usage": 6, "build": 6, "toolchain": 6, "backends": 6, "link_map": 6, "harness": 6,
    "report": 7, "compress": 7, "settings": 7, "progress": 7, "job": 7, "search_job": 7, "compile_job": 7,
    "stages": 7, "firmware_stages": 7, "wear": 7, "new_people": 7, "dqn_job": 7, "predictor": 7,
    "cli_predictor": 7, "backend_build": 7, "compare": 7, "devices": 7, "latency": 7, "verify": 7, "sweep": 7,
    "pipeline": 7, "doctor": 7, "reproduce": 7, "cli": 7, "cli_reproduce": 7, "cli_compress": 7,
    "cli_options": 7, "cli_search": 7, "cli_attributes": 7, "cli_combine": 7,
}
TORCH_FREE = ("ir", "cost", "export/tflite.py", "export/tflite_import.py", "export/onnx.py", "export/csource.py",
              "export/oracles.py", "export/cmsis_nn.py", "export/tflm.py", "backends.py", "libraries.py", "build.py",
              "toolchain.py", "harness", "data", "board.py")
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """All modules that a file imports, at any depth of nesting."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(path):
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    assert here in LEVELS, f"{here} has no level: add it to LEVELS and to DESIGN"
    for module in imported_modules(path):
        if module.startswith("harembed."):
            there = module.split(".")[1]
            same_room = there == here or LEVELS[there] == LEVELS[here] >= 6
            assert same_room or LEVELS[there] < LEVELS[here], f"{path.name} in {here} imports {module}"


@pytest.mark.parametrize("path", [p for p in FILES if str(p.relative_to(PACKAGE)).startswith(TORCH_FREE)],
                         ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_waist_and_below_never_import_torch(path):
    assert not any(m.split(".")[0] in ("torch", "torchmetrics") for m in imported_modules(path))
