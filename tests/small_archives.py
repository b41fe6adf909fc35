"""Small archives in the official formats of the public datasets: what the loaders' tests read."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import scipy.io

from harembed.data import opportunity, pamap2, skoda

Members = dict[str, bytes]


def pack_zip(members: Members) -> bytes:
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(name, content)
    return f.getvalue()


def pack_tar(members: Members, mode: str) -> bytes:
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode=mode, **({"preset": 0} if mode == "w:xz" else {})) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return f.getvalue()


def place(root: Path, name: str, members: Members, inner: str | None = None) -> None:
    """Put an archive (or a folder) of this name into root; `inner` names a zip inside the zip, as UCI serves some."""
    if name.endswith(".tar.xz"):
        (root / name).write_bytes(pack_tar(members, "w:xz"))
    elif name.endswith(".tar.gz"):
        (root / name).write_bytes(pack_tar(members, "w:gz"))
    elif name.endswith(".zip"):
        (root / name).write_bytes(pack_zip({"about.names": b"", inner: pack_zip(members)} if inner else members))
    else:
        for member, content in members.items():
            (root / member).parent.mkdir(parents=True, exist_ok=True)
            (root / member).write_bytes(content)


def table(values: np.ndarray, delimiter: str = " ") -> bytes:
    f = io.BytesIO()
    np.savetxt(f, values, fmt="%.6g", delimiter=delimiter)
    return f.getvalue()


def mat(name: str, values: np.ndarray) -> bytes:
    f = io.BytesIO()
    scipy.io.savemat(f, {name: values}, do_compression=True)
    return f.getvalue()


def _noise(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, columns)).round(3)


def hapt_members() -> Members:
    """61 experiments of 30 people, 200 samples each, of which 11 to 180 are labelled."""
    members: Members = {}
    lines = []
    for experiment in range(1, 62):
        user = min((experiment + 1) // 2, 30)
        for kind in ("acc", "gyro"):
            name = f"HAPT Data Set/RawData/{kind}_exp{experiment:02d}_user{user:02d}.txt"
            members[name] = table(_noise(200, 3, experiment))
        lines.append(f"{experiment} {user} {experiment % 12 + 1} 11 180\n")
    return members | {"HAPT Data Set/RawData/labels.txt": "".join(lines).encode()}


def daphnet_members(files: tuple[str, ...] = ("S01R01", "S02R01", "S03R03")) -> Members:
    """640 samples each: 128 outside the experiment, 256 without and 256 with freezing."""
    labels = np.repeat([0, 1, 2], (128, 256, 256))
    rows = np.column_stack([np.arange(640) * 15, np.rint(1000 * _noise(640, 9)), labels])
    return {f"dataset_fog_release/dataset/{name}.txt": table(rows) for name in files}


def dsads_members(people: tuple[str, ...] = ("p1", "p2", "p3"), segments: int = 2) -> Members:
    """The value of the first channel tells the segment."""
    members: Members = {}
    for segment in range(1, segments + 1):
        values = _noise(125, 45)
        values[:, 0] = segment
        content = table(values, ",")
        members |= {f"data/a{a:02d}/{p}/s{segment:02d}.txt": content for a in range(1, 20) for p in people}
    return members


def wisdm_members() -> Members:
    """People 1 and 30, walking and sitting, 260 records each, with every flaw of the official file."""
    lines = []
    for user in (1, 30):
        for activity in ("Walking", "Sitting"):
            lines += [f"{user},{activity},{1000 + 50_000_000 * i},0.5,{i / 100},-9.81;\n" for i in range(260)]
    lines[5] = lines[5].strip().rstrip(";") + ",;\n"  # a comma too many
    lines[7:9] = [lines[7].strip() + lines[8]]  # two records in a line
    lines.append("30,Sitting,0,0,0,0.0;\n")  # time 0
    lines.append("\n")
    return {"WISDM_ar_v1.1/WISDM_ar_v1.1_raw.txt": "".join(lines).encode()}


def unimib_members() -> Members:
    """A window of each class for people 1, 2, 26 and 30; x holds 1, y 2, z the person / 8."""
    labels = np.array([(c, s, 1) for s in (1, 2, 26, 30) for c in range(1, 18)])
    data = np.hstack([np.full((len(labels), 151), 1.0), np.full((len(labels), 151), 2.0),
                      np.repeat(labels[:, 1:2] / 8, 151, axis=1)])
    return {"UniMiB-SHAR/data/acc_data.mat": mat("acc_data", data),
            "UniMiB-SHAR/data/acc_labels.mat": mat("acc_labels", labels.astype(np.uint8))}


def pamap2_members(people: tuple[int, ...] = (101, 105, 106)) -> Members:
    """1800 samples each, walking, but for 600 transient ones; one short and one long gap in the first channel."""
    rows = np.full((1800, pamap2.COLUMNS), 0.25)
    rows[:, 1] = np.repeat([4, 0, 4], 600)
    rows[:, 4] = np.arange(1800) / 100  # acceleration of the hand, x
    rows[10:20, 4] = rows[1300:1400, 4] = np.nan
    rows[:, 2] = np.nan  # the heart rate, which is not read
    return {f"PAMAP2_Dataset/Protocol/subject{s}.dat": table(rows) for s in people}


def opportunity_members(runs: tuple[str, ...] = ("S1-ADL1", "S2-Drill", "S2-ADL4", "S4-ADL1")) -> Members:
    """48 samples each; column k holds 10 k; the last half is the gesture with code 406516."""
    rows = np.tile(10.0 * np.arange(1, opportunity.COLUMNS + 1), (48, 1))
    rows[:, -1] = np.repeat([0, 406516], 24)
    rows[4:8, 1] = np.nan
    rows[:, 2] = np.nan
    return {f"OpportunityUCIDataset/dataset/{run}.dat": table(rows) for run in runs}


def skoda_members(repetitions: int = 10, samples: int = 196) -> Members:
    """Each gesture this often in turn, with null between."""
    codes = [np.repeat([code, skoda.NULL], samples) for _ in range(repetitions) for code in skoda.GESTURES]
    labels = np.concatenate(codes)
    values = np.zeros((len(labels), skoda.COLUMNS))
    values[:, 0] = labels
    values[:, 1::7] = np.arange(1, 11)  # numbers of the sensors
    values[:, 2::7] = labels[:, None]  # x calibrated
    return {"SkodaMiniCP_2015_08/right_classall_clean.mat": mat("right_classall_clean", values)}
