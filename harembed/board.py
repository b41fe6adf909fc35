"""Boards as data: one TOML file each, read into frozen objects.

Each number about the world stands in the file beside its source. An unknown key is an error, because a
misspelt `ram_size` must not become a default.
"""

import difflib
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harembed.errors import BoardError, unknown_name
from harembed.resources import resource_dir

Positive = Annotated[int, Field(strict=True, gt=0)]
Address = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Core(_Section):
    """The processor and how compilers are told about it."""

    name: str
    fpu: str | None = None
    dsp: Annotated[bool, Field(strict=True)]
    gcc_flags: tuple[str, ...]
    zig_flags: tuple[str, ...]
    source: str


class Clock(_Section):
    """Core clock in Hz; the port must know how to make each allowed one."""

    default_hz: Positive
    allowed_hz: tuple[Positive, ...]
    source: str

    @model_validator(mode="after")
    def _default_is_allowed(self) -> "Clock":
        if self.default_hz not in self.allowed_hz:
            raise ValueError(f"default_hz = {self.default_hz} is not among allowed_hz {list(self.allowed_hz)}")
        return self


class Region(_Section):
    """A memory that the linker fills."""

    start: Address
    bytes: Positive
    source: str


class Bank(_Section):
    """A part of the RAM, for the report's picture."""

    name: str
    start: Address
    bytes: Positive


class Memory(_Section):
    """Flash and RAM, and what of the RAM is kept for the stack."""

    flash: Region
    ram: Region
    stack_bytes: Positive
    banks: tuple[Bank, ...] = ()

    @field_validator("stack_bytes")
    @classmethod
    def _stack_is_aligned(cls, value: int) -> int:
        if value % 8:
            raise ValueError(f"{value} is not a multiple of 8 bytes, as the Arm procedure call standard wants")
        return value

    @model_validator(mode="after")
    def _banks_cover_ram(self) -> "Memory":
        total = sum(bank.bytes for bank in self.banks)
        if self.banks and total != self.ram.bytes:
            raise ValueError(f"the banks hold {total:,} bytes, ram has {self.ram.bytes:,}")
        return self


class Budget(_Section):
    """What a search may spend by default: bytes of arena."""

    ram_bytes: Positive
    source: str


class Serial(_Section):
    """The line that the harness speaks over."""

    baud: Positive
    usb_id: str | None = None
    description: str
    source: str


class FlashTools(_Section):
    """What programs that write the flash call this board."""

    openocd_config: str
    pyocd_target: str
    platformio_board: str
    source: str


class CycleModel(_Section):
    """Cycles from what a simulator counts, with the error that was found when it was fitted."""

    cycles_per_instruction: NotNegative
    cycles_per_taken_branch: NotNegative
    cycles_per_loaded_word: NotNegative
    cycles_per_cache_miss: NotNegative
    cache_bytes: Positive
    cache_ways: Positive
    cache_line_bytes: Positive
    cached: str
    mean_error_percent: NotNegative
    p95_error_percent: NotNegative
    new_kernels_error_percent: NotNegative
    validity: str
    source: str

    def cycles(self, instructions: int, taken_branches: int, loaded_words: int, cache_misses: int) -> float:
        """Modelled cycles of a run, from counts of the same run."""
        return (
            self.cycles_per_instruction * instructions
            + self.cycles_per_taken_branch * taken_branches
            + self.cycles_per_loaded_word * loaded_words
            + self.cycles_per_cache_miss * cache_misses
        )

    @property
    def short(self) -> str:
        """A few words beside a figure."""
        return f"cycle model, ±{self.new_kernels_error_percent:.0f} %"

    @property
    def text(self) -> str:
        """Where it comes from, its error and where it holds."""
        return (f"Cycle model: {self.source}. {self.validity} Error on the convolutions it was fitted to: "
                f"{self.mean_error_percent} % (mean), {self.p95_error_percent} % (95th percentile).")


class Simulators(_Section):
    """How each simulator runs an image of this board; none where it cannot."""

    unicorn: str | None = None
    renode: str | None = None
    qemu_machine: str | None = None
    qemu_icount_shift: Annotated[int, Field(strict=True, ge=0, le=10)] | None = None


class Board(_Section):
    """One board file. `name` is the stem of the file, `path` where it was read."""

    name: str
    path: Path
    title: str
    kind: Literal["device", "simulator", "host"]
    mcu: str
    port_sources: tuple[str, ...]
    core: Core | None = None
    clock: Clock | None = None
    memory: Memory | None = None
    budget: Budget
    serial: Serial | None = None
    flash_tools: FlashTools | None = None
    cycle_model: CycleModel | None = None
    simulators: Simulators = Simulators()

    @model_validator(mode="after")
    def _complete(self) -> "Board":
        if self.kind != "host":
            missing = [k for k in ("core", "clock", "memory", "serial") if getattr(self, k) is None]
            if missing:
                raise ValueError(f"a {self.kind} needs the sections {', '.join(missing)}")
        if self.memory and self.budget.ram_bytes > self.memory.ram.bytes:
            raise ValueError(f"budget.ram_bytes = {self.budget.ram_bytes:,} exceeds the "
                             f"{self.memory.ram.bytes:,} bytes of RAM")
        return self

    @property
    def ram_budget_bytes(self) -> int:
        return self.budget.ram_bytes

    @property
    def flash_bytes(self) -> int | None:
        """Size of the flash; None on a host."""
        return self.memory.flash.bytes if self.memory else None

    @property
    def ram_bytes(self) -> int | None:
        """Size of the RAM; None on a host."""
        return self.memory.ram.bytes if self.memory else None

    @property
    def clock_hz(self) -> int | None:
        """Default core clock; None on a host."""
        return self.clock.default_hz if self.clock else None


def board_names() -> list[str]:
    """The boards that come with harembed, sorted."""
    return sorted(path.stem for path in resource_dir("boards").glob("*.toml"))


def load_board(name_or_path: str | Path) -> Board:
    """Read a board by name (a file of boards/) or by the path of a .toml file.

    Raises
    ------
    BoardError    no such board or file, not TOML, an unknown key, a missing one, a wrong type or value
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        path = Path(text)
        if not path.is_file():
            raise BoardError(f"There is no board file {path}.", f"Boards by name: {', '.join(board_names())}.")
    else:
        path = resource_dir("boards") / f"{text}.toml"
        if text not in board_names():
            raise BoardError(unknown_name("board", text, board_names()),
                             "A board of your own: copy a file of boards/ and pass --board PATH.toml.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BoardError(f"{path} is not TOML: {e}.", "Compare it with a file of boards/.") from e
    for key in ("name", "path"):
        if key in data:
            raise BoardError(f"{path}: {key}: unknown key.", "The name of a board is the stem of its file.")
    try:
        return Board(name=path.stem, path=path, **data)
    except ValidationError as e:
        raise _explain(path, e) from e


def _explain(path: Path, error: ValidationError) -> BoardError:
    """Word one of pydantic's findings as file: key, what is wrong, what to do.

    An unknown key comes first: the right one, missing then, is a consequence.
    """
    findings = error.errors()
    first = next((f for f in findings if f["type"] == "extra_forbidden"), findings[0])
    location = [str(part) for part in first["loc"]]
    key = ".".join(location) or "the file"
    known = _known_keys([part for part in location[:-1] if not part.isdigit()])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], known, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        return BoardError(f"{path}: {key}: unknown key.", f"{guess}Known here: {', '.join(known)}.")
    if first["type"] == "missing":
        return BoardError(f"{path}: {key}: missing.", f"Known here: {', '.join(known)}.")
    reason = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first["input"], dict | BaseModel) else f" (given: {first['input']!r})"
    return BoardError(f"{path}: {key}: {reason}{given}.", "Correct the value; a file of boards/ shows the form.")


def _known_keys(location: list[str]) -> list[str]:
    """The keys that the section at `location` may have."""
    model: type[BaseModel] = Board
    for part in location:
        annotation = model.model_fields[part].annotation
        sections = [t for t in (annotation, *typing.get_args(annotation))
                    if isinstance(t, type) and issubclass(t, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return [key for key in model.model_fields if model is not Board or key not in ("name", "path")]
