"""Published networks: parameters and MACs of the papers' tables."""

from typing import NamedTuple

import pytest

from harembed.cost.dims import dims_of
from harembed.cost.macs import parameters, total_macs
from harembed.errors import RunError, SearchError
from harembed.lego import Lego
from harembed.models import build_model
from harembed.models.widths import widths, with_widths
from harembed.published import published
from harembed.settings import load_settings
from harembed.space import FlatTail, Network, temporal_length, with_lego

DATASETS = {"motionsense": (128, 12, 6), "uci-har": (128, 9, 6), "skoda": (196, 30, 10)}  # window, sensors, classes
# What the tables count besides: LSTM's second bias (4 * 128), batch norm (4 * 2 * 64), a gain, a softmax's bias.
NOT_DEPLOYED = {"deepconvlstm": 512, "tinyhar": 512 + 512 + 1, "attend": 2}


class Row(NamedTuple):
    name: str
    dataset: str
    parameters: str  # thousands, as printed
    mmacs: float
    deviation: float  # % of MMACs above multiply-accumulates


ROWS = [
    Row("deepconvlstm", "motionsense", "522.57", 138.73, 0.98), Row("attend", "motionsense", "519.11", 155.62, 0.95),
    Row("tinyhar", "motionsense", "322.76", 47.17, 2.36), Row("deepconvlstm", "uci-har", "424.26", 105.95, 1.03),
    Row("attend", "uci-har", "445.38", 120.55, 0.99), Row("tinyhar", "uci-har", "298.18", 36.27, 2.36),
    Row("deepconvlstm", "skoda", "1110", 534.44, 0.89), Row("attend", "skoda", "962.0", 592.41, 0.86),
    Row("tinyhar", "skoda", "470.73", 183.2, 2.32),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.name}-{r.dataset}")
def test_sizes_are_those_of_the_tables(row: Row) -> None:
    dims = dims_of(published(row.name, *DATASETS[row.dataset]))
    counted = (parameters(dims) + NOT_DEPLOYED[row.name]) / 1000
    digits = len(row.parameters.partition(".")[2])
    printed = f"{counted:.{digits}f}" if digits else str(round(counted, -1)).partition(".")[0]
    assert printed == row.parameters
    assert (row.mmacs / (total_macs(dims) / 1e6) - 1) * 100 == pytest.approx(row.deviation, abs=0.006)


@pytest.mark.parametrize("name", ["deepconvlstm", "attend", "tinyhar"])
def test_the_shortest_window_is_as_stated(name: str) -> None:
    shortest = {"deepconvlstm": 17, "attend": 17, "tinyhar": 25}[name]
    build_model(published(name, shortest, 2, 3))
    with pytest.raises(SearchError, match="conv3: a kernel of 5"):
        build_model(published(name, shortest - 1, 2, 3))


@pytest.mark.parametrize("lego, mebibytes, mmacs", [
    (None, 3.55, 69.62), ("o=2,m=0.5", 1.30, 34.99), ("o=4,m=0.5", 0.92, 34.99), ("o=2,m=0.25", 0.92, 17.67)])
def test_flat_is_about_of_the_size_in_table_iii(lego: str | None, mebibytes: float, mmacs: float) -> None:
    """Of Tang et al.: what the dense layer has more is the same in every row, MACs are within 2.5 %."""
    arch: Network = published("flat", 128, 9, 6)
    dims = dims_of(with_lego(arch, Lego.parse(lego)) if lego else arch)
    assert parameters(dims) * 4 / 2**20 - mebibytes == pytest.approx(0.09, abs=0.005)
    assert total_macs(dims) / 1e6 == pytest.approx(mmacs, rel=0.025)


def test_flat_with_a_quarter_of_its_filters() -> None:
    whole = published("flat", 128, 9, 6)
    small = with_widths(whole, [w // 4 for w in widths(whole)])
    assert [c.filters for c in small.convs] == [32, 64, 96]
    assert (small.tail, small.convs[0].stride) == (FlatTail(), 4)


def test_flat_is_for_no_search() -> None:
    with pytest.raises(RunError, match="--strategy published"):
        load_settings(None, {"tail": "flat"})
    assert load_settings(None, {"tail": "flat", "strategy": "published"}).tail == "flat"


def test_tinyhar_takes_every_second_sample_twice() -> None:
    arch, length, lengths = published("tinyhar", 128, 9, 6), 128, []
    for c in arch.convs:
        lengths.append(length := temporal_length(length, c.kernel, c.stride, arch.padding))
    assert lengths == [124, 60, 56, 26]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SearchError, match="deepconvlstm"):
        published("deepconvlstn", 128, 9, 6)


@pytest.mark.parametrize("channels, printed", [(9, 1_974_850), (77, 2_040_130), (52, 2_016_130)])
def test_the_residual_network_of_shens_thesis(channels: int, printed: int) -> None:
    """Table 3.1, Daphnet, Opportunity and PAMAP2: all of two classes, without batch norm, so without our biases."""
    arch = published("resnet", 64, channels, 2)
    assert parameters(dims_of(arch)) - 33 * 64 == printed
    if channels == 9:
        assert 0.126e9 <= total_macs(dims_of(arch)) < 0.127e9
