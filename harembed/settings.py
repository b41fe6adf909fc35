"""What a run was asked for: validated, unknown keys refused, stored as run.toml in its folder."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harembed.errors import RunError, SearchError, unknown_name
from harembed.lego import Lego

# Settings of RunSettings that say what the last training has besides the labels.
ADDED_TO_TRAINING = ("teachers", "born_again", "teacher_width", "teacher", "soft_weight", "soft_temperature",
                     "local_loss", "pretrain")


class RunSettings(BaseModel):
    """Every value that changes the result of a run; paths and terminal options are not among them.

    A budget of None means the board's own (RAM) or none (latency). What only says where candidates are trained does
    not change the result either: it is checked here with the rest, but no run remembers it, and a run may go on with
    other values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    board: str = "nucleo_l552ze_q"
    dataset: str = "watch"
    seed: int = Field(0, ge=0, description="of the search, training and all splits")
    strategy: Literal["sftnas", "random", "evolution", "dqn", "autoslim", "pas", "published"] = "sftnas"
    ram: int | None = Field(None, gt=0, description="bytes of arena; default: the board's")
    macs: int = Field(200_000, gt=0, description="multiply-accumulates of one inference, at most")
    parameters: int | None = Field(None, gt=0, description="weights and biases, at most; default: no limit")
    channels: int | None = Field(None, gt=0, description="sensor channels, at most; default: no limit")
    latency_us: float | None = Field(None, gt=0, description="microseconds, at most; an estimate steers the search")
    beta1: float | None = Field(None, ge=0, description="weight of the complexity loss (eq. 10); default: 0.3")
    beta2: float = Field(1.0, ge=0, description="weight of the memory loss (eq. 10)")
    tail: Literal["conv", "tinyhar", "deepconvlstm", "attend", "flat", "resnet"] | None = Field(
        None, description="behind the first stage; default: conv or tinyhar")
    backbone: float | None = Field(None, gt=0, le=1, description="share of the published network's filters that "
                                   "autoslim and pas start from, default 0.25, or published has, default 1")
    train_epochs: int | None = Field(None, gt=0, description="of the search in all; default: as many as sftnas takes")
    search_epochs: int | None = Field(None, gt=0, description="of each super-net; default: 24")
    search_windows: int | None = Field(None, gt=0, description="of training people that a search learns from, about, "
                                       "at most; default: 2,000")
    float_epochs: int = Field(80, gt=0, description="of the final training before the branches")
    calibrate: bool | None = Field(None, description="a second output with probabilities that can be believed; "
                                                     "default: yes")
    qat_epochs: int = Field(16, gt=0, description="of each branch: float and quantisation-aware")
    window: int | None = Field(None, gt=0, description="samples; default: the dataset's protocol")
    hop: int | None = Field(None, gt=0, description="samples; default: the dataset's protocol")
    train_hop: int | None = Field(None, gt=0, description="samples, of training windows; default: as hop")
    rotation: float | None = Field(None, ge=0, le=3.2, description="radians, of the random turns of sensors in all "
                                   "trainings; default: 0.2")
    split: str | None = Field(None, description="default: the dataset's protocol")
    optimize: Literal["speed", "balanced", "size"] | None = Field(None, description="of the C; default: balanced")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", exclude=True, description="of all trainings")
    executor: Literal["local", "ray"] = Field("local", exclude=True, description="of the candidates' trainings")
    address: str | None = Field(None, exclude=True, description="HOST:PORT of a Ray cluster; default: a local one")
    processes: int | None = Field(None, gt=0, exclude=True, description="on this machine; default: 2")

    @model_validator(mode="after")
    def _of_ray(self) -> "RunSettings":
        if self.address is not None and self.executor != "ray":
            raise ValueError("--address is of --executor ray")
        if self.address is not None and not re.fullmatch(r"[^\s/]+:\d+", self.address):
            raise ValueError(f"--address takes HOST:PORT, not {self.address!r}")
        if self.address is not None and self.processes is not None:
            raise ValueError("--processes is of this machine, and --address names a cluster, which has its own CPUs")
        return self

    @model_validator(mode="after")
    def _of_flat(self) -> "RunSettings":
        if self.tail in ("flat", "resnet") and self.strategy != "published":
            raise ValueError(f"tail {self.tail} is of a published network alone: --strategy published")
        if self.blocks is not None and self.tail != "resnet":
            raise ValueError("--blocks are those of --strategy published --tail resnet")
        return self

    @model_validator(mode="after")
    def _of_teachers(self) -> "RunSettings":
        if self.born_again and not self.teachers:
            raise ValueError("--born-again says how the networks of --teachers learn, and there are none")
        if self.teacher_width and not self.teachers:
            raise ValueError("--teacher-width is of the networks of --teachers, and there are none")
        return self

    @model_validator(mode="after")
    def _of_local_loss(self) -> "RunSettings":
        if self.local_loss and (self.teachers or self.teacher):
            raise ValueError("--local-loss has no loss of the whole network that teachers could add to")
        return self

    @model_validator(mode="after")
    def _of_lego(self) -> "RunSettings":
        if self.lego and self.xnor:
            raise ValueError("--lego and --xnor say how the same convolutions are made: take one of them")
        return self

    @model_validator(mode="after")
    def _of_published(self) -> "RunSettings":
        if self.graph is not None and self.strategy != "published":
            raise ValueError(f"graph names a network of strategy published, not of {self.strategy}")
        return self

    # Of strategy published.
    blocks: int | None = Field(None, gt=0, le=16, description="of tail resnet; default: 16")
    graph: Literal["deepconvlstm", "max-ff", "max-wide"] | None = Field(
        None, description="a network that Pellatt and Roggen compare with, in the space of strategy dqn; default: "
                          "the published network with that tail")
    # Of networks that learn from others.
    teachers: int | None = Field(None, gt=0, description="networks of the same architecture whose average opinion "
                                 "the final network learns besides the labels; default: none")
    teacher_width: float | None = Field(None, gt=0, le=32, description="times as many filters as the network's own, "
                                        "of these; default: 1")
    teacher: tuple[str, ...] | None = Field(None, min_length=1, description="networks of other runs that teach")
    born_again: bool | None = Field(None, description="each of these but the first learns from the one before; "
                                                      "default: no")
    soft_weight: float | None = Field(None, ge=0, le=1, description="of that opinion in the loss; default: 0.7")
    soft_temperature: float | None = Field(None, gt=0, description="that softens it; default: 2")
    local_loss: bool | None = Field(None, description="every convolution learns from a loss of its own; default: no")
    lego: str | None = Field(None, description="o=4,m=0.25: fragments and share of bricks of Lego filters; default: "
                                               "none")
    xnor: bool | None = Field(None, description="convolutions of 16 channels and more are of signs; default: no")
    pretrain: str | None = Field(None, description="a dataset that the network learns first; default: none")
    width: float | None = Field(None, gt=0, le=32, description="times the filters that the search chose; default: 1")
    network: str | None = Field(None, description="that `compress` was given; default: a search chooses one")
    # Of strategy dqn.
    space: Literal["general", "feedforward"] | None = Field(None, description="default: general")
    filters: tuple[int, ...] | None = Field(None, min_length=1, description="of convolutions; default: 4, 8, 16, 32")
    max_layers: int | None = Field(None, gt=0, le=16, description="default: 8")
    hidden: int | None = Field(None, gt=0, description="features of the tail; default: 16")
    sensors: Literal["mixed", "shared"] | None = Field(None, description="channels as filters of the input, or each "
                                                                         "on its own; default: mixed")
    episodes: int | None = Field(None, gt=0, description="at most; default: 20,000")
    policy: Literal["q", "random"] | None = Field(None, description="random draws networks of the same space")
    metric: Literal["macro_f1", "weighted_f1"] | None = Field(None, description="of rewards; default: the dataset's")
    price: float | None = Field(None, ge=0, description="of costs in the reward; default: 0")
    predictor: str | None = Field(None, description="predictors.json of `harembed predictor fit`")
    predict_at: int | None = Field(None, gt=0, description="epochs; default: 5")
    predict_with: Literal["baseline", "mlp", "cnn", "mlp-struct", "cnn-struct"] | None = Field(
        None, description="default: mlp")

    @field_validator("lego")
    @classmethod
    def _lego(cls, value: str | None) -> str | None:
        try:
            return None if value is None else Lego.parse(value).text
        except SearchError as e:
            raise ValueError(e.message.rstrip(".")) from e

    @field_validator("filters", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        """Options give "4,8"."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("filters")
    @classmethod
    def _positive(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and min(value) < 1:
            raise ValueError("filters are positive numbers")
        return value

    def to_toml(self) -> str:
        """Stable text: the same settings give the same bytes."""
        lines = [f"{k} = {json.dumps(v)}" for k, v in self.model_dump().items() if v is not None]
        return "\n".join(lines) + "\n"


def load_settings(path: Path | None, overrides: dict[str, Any]) -> RunSettings:
    """Settings from a TOML file and from options given by hand, which win.

    Raises
    ------
    RunError    names the file, the key, and the nearest known key or the allowed range
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except OSError as e:
            raise RunError(f"Cannot read {path}: {e.strerror}.", "Give a readable TOML file to --settings.") from e
        except tomllib.TOMLDecodeError as e:
            raise RunError(f"{path} is not valid TOML: {e}.", "Correct the line that it names.") from e
        values.pop("format_version", None)
    where = str(path) if path else "The options"
    try:
        return RunSettings(**{**values, **{k: v for k, v in overrides.items() if v is not None}})
    except ValidationError as e:
        first = e.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise RunError(f"{where}: {unknown_name('setting', key, list(RunSettings.model_fields))}",
                           "Remove or correct the key.") from e
        if first["type"] == "literal_error":
            known = re.findall(r"'([^']+)'", first["ctx"]["expected"])
            raise RunError(f"{where}: {unknown_name(key, str(first['input']), known)}",
                           "See `harembed search --help`.") from e
        if first["type"] == "value_error":
            raise RunError(f"{where}: {first['ctx']['error']}.", "See `harembed search --help`.") from e
        raise RunError(f"{where}: {key}: {first['msg']} (got {first['input']!r}).",
                       "See `harembed search --help`.") from e


class CompileSettings(BaseModel):
    """Every value that changes the result of `compile`; files are known by their content.

    A run folder with verb = "compile" in its run.toml is one of these; one without `verb` is of a search.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Literal["compile"] = "compile"
    board: str
    model: str  # name of the file, for people
    model_sha256: str
    inputs: str | None = None  # name of the user's file of inputs
    inputs_sha256: str | None = None
    seed: int = Field(2024, ge=0, description="of the random inputs that all targets are compared on")
    optimize: Literal["speed", "balanced", "size"] | None = Field(None, description="of the C; default: balanced")
    backend: Literal["own", "cmsis_nn", "tflm"] | None = Field(None, description="of the firmware; default: own")

    def to_toml(self) -> str:
        """Stable text: the same settings give the same bytes."""
        return "".join(f"{k} = {json.dumps(v)}\n" for k, v in self.model_dump().items() if v is not None)


def stored_settings(path: Path) -> RunSettings | CompileSettings:
    """What the run of a run.toml was asked for.

    Raises
    ------
    RunError    there is none, or it is damaged
    """
    if not path.is_file():
        raise RunError(f"{path.parent} holds no run.", "Make one: `harembed search --out DIR`, or "
                       "`harembed compile model.tflite --out DIR`.")
    try:
        values = tomllib.loads(path.read_text())
        if values.get("verb") == "compile":
            values.pop("format_version", None)
            return CompileSettings(**values)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as e:
        raise RunError(f"{path} is damaged: {str(e).splitlines()[0]}.", "Run the command again in another folder.") \
            from e
    return load_settings(path, {})
