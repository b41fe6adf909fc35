"""Datasets: a name, with a variant or a path after a colon, becomes windows of int16 counts.

To add one: a file with a function Request -> Dataset, and a line in DATASETS.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harembed.data.csv import load_csv
from harembed.data.daphnet import load_daphnet
from harembed.data.dataset import Dataset, Request
from harembed.data.dsads import load_dsads
from harembed.data.hapt import load_hapt
from harembed.data.motionsense import load_motionsense
from harembed.data.opportunity import load_opportunity
from harembed.data.pamap2 import load_pamap2
from harembed.data.skoda import load_skoda
from harembed.data.uci_har import load_uci_har
from harembed.data.unimib_shar import load_unimib_shar
from harembed.data.watch import load_watch
from harembed.data.wisdm import load_wisdm
from harembed.errors import DataError, unknown_name

DATASETS: dict[str, Callable[[Request], Dataset]] = {
    "watch": load_watch,
    "uci-har": load_uci_har,
    "hapt": load_hapt,
    "motionsense": load_motionsense,
    "daphnet": load_daphnet,
    "dsads": load_dsads,
    "wisdm": load_wisdm,
    "unimib-shar": load_unimib_shar,
    "pamap2": load_pamap2,
    "opportunity": load_opportunity,
    "skoda": load_skoda,
    "csv": load_csv,
}
# What a user can type, with one line on each.
SPECS: dict[str, str] = {
    "watch": "smartwatch shoulder exercises, 7 classes, 10 people; comes with the installation (default)",
    "uci-har": "UCI-HAR, 9 channels as published, 6 classes, 30 people; no commercial use",
    "uci-har:raw": "UCI-HAR, total acceleration and gyroscope only: what a device can measure",
    "hapt": "HAPT, 6 channels, 6 activities and 6 transitions, 30 people, continuous; no commercial use",
    "motionsense": "MotionSense, 9 channels, 6 classes, 24 people, split by person",
    "motionsense:raw": "MotionSense, total acceleration and rotation rate only, split by person",
    "motionsense:trials": "MotionSense, 9 channels, split by trial (people shared)",
    "daphnet": "Daphnet freezing of gait, 9 channels, 2 classes, 10 people, continuous",
    "dsads": "Daily and Sports Activities, 45 channels at 5 places of the body, 19 classes, 8 people",
    "wisdm": "WISDM v1.1, 3 channels, 6 classes, 36 people",
    "unimib-shar": "UniMiB-SHAR, 3 channels, 17 activities and falls, 30 people",
    "pamap2": "PAMAP2, 27 channels at hand, chest and ankle, 12 classes, 9 people",
    "opportunity": "OPPORTUNITY gestures, 113 channels, 18 classes, 4 people, continuous; split by person",
    "opportunity:challenge": "OPPORTUNITY, the challenge's split (people shared)",
    "skoda": "Skoda Mini Checkpoint, 30 channels of the right arm, 10 classes, one person, split in time",
    "csv:PATH": "your own recordings",
}


def load_dataset(spec: str = "watch", data_root: Path | None = None, window: int | None = None,
                 hop: int | None = None, split: str | None = None, train_hop: int | None = None) -> Dataset:
    """Load a dataset.

    Parameters
    ----------
    spec : str              one of SPECS
    data_root : Path        folder with official archives; else HAREMBED_DATA, else the cache, else a download
    window, hop : int       samples; None: the dataset's own
    split : str             None: the dataset's default, by subject where it has several; loso=SUBJECT holds one
                            person out; see harembed.data.split
    train_hop : int         samples, between training windows; None: as between those of test. More that overlap more
                            are more to learn from, and the scores stand beside those of others

    Raises
    ------
    DataError    unknown name; archive missing or damaged; recordings that do not suit; training windows that would
                 overlap test windows
    """
    name, colon, variant = spec.partition(":")
    if name not in DATASETS:
        raise DataError(unknown_name("dataset", spec, list(SPECS)), "Use --dataset with one of these names.")
    for value, what in ((window, "window"), (hop, "hop"), (train_hop, "train-hop")):
        if value is not None and value < 1:
            raise DataError(f"The {what} is {value} samples.", f"Give --{what} as a positive number.")
    asked = Request(variant if colon else None, data_root, window, hop, split)
    dataset = DATASETS[name](asked)
    protocol = dataset.info.protocol
    if train_hop in (None, protocol.hop):
        return dataset
    if protocol.leaking:
        raise DataError(f"{spec} is split window by window: training windows of another hop would hold test samples.",
                        "Leave --train-hop out, or split by subject.")
    train = DATASETS[name](replace(asked, hop=train_hop)).train
    return replace(dataset, train=train,
                   info=replace(dataset.info, protocol=replace(protocol, train_hop=train_hop)))
