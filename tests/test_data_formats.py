"""Loaders of the datasets whose archives are seldom at hand: official formats, splits, gaps, damage."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_archives import (
    Members,
    daphnet_members,
    dsads_members,
    hapt_members,
    mat,
    opportunity_members,
    pamap2_members,
    place,
    skoda_members,
    unimib_members,
    wisdm_members,
)

from harembed.data import daphnet, dsads, hapt, load_dataset, opportunity, pamap2, skoda, unimib_shar, wisdm
from harembed.data.gaps import fill_gaps
from harembed.data.recording import UNLABELLED, Windows, vectors
from harembed.data.split import LEAKING
from harembed.errors import DataError

REAL = Path(os.environ.get("HAREMBED_DATA") or Path(__file__).parents[2] / "shared" / "data")
MAKERS: dict[str, Callable[[], Members]] = {
    "hapt": hapt_members, "daphnet": daphnet_members, "dsads": dsads_members, "wisdm": wisdm_members,
    "unimib-shar": unimib_members, "pamap2": pamap2_members, "opportunity": opportunity_members,
    "skoda": skoda_members}
MODULES = {"hapt": hapt, "daphnet": daphnet, "dsads": dsads, "wisdm": wisdm, "unimib-shar": unimib_shar,
           "pamap2": pamap2, "opportunity": opportunity, "skoda": skoda}


@pytest.fixture(autouse=True)
def two_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsads, "SEGMENTS", 2)  # of 60: the small archive stays small


def _load(root: Path, spec: str, members: Members | None = None, **options: object):  # type: ignore[no-untyped-def]
    name = spec.partition(":")[0]
    place(root, MODULES[name].SOURCE.names[0], members or MAKERS[name]())
    return load_dataset(spec, root, **options)  # type: ignore[arg-type]


# ---- what comes out: shape of a window, windows and people on each side, protocol


@pytest.mark.parametrize("spec, shape, train, test, words", [
    ("hapt", (128, 6), {"01", "30"}, set(hapt.TEST_SUBJECTS), "macro F1"),
    ("hapt:loso=05", (128, 6), {"01", "30"}, {"05"}, "leave-one-subject-out"),
    ("daphnet", (256, 9), {"01", "03"}, {"02"}, "3 people"),
    ("dsads", (125, 45), {"p1", "p2"}, {"p3"}, "3 people"),
    ("dsads:loso=p1", (125, 45), {"p2", "p3"}, {"p1"}, "leave-one-subject-out"),
    ("wisdm", (200, 3), {"01"}, {"30"}, "29 to 36"),
    ("unimib-shar", (151, 3), {"01", "02"}, {"26", "30"}, "25 to 30"),
    ("unimib-shar:loso=02", (151, 3), {"01", "26", "30"}, {"02"}, "leave-one-subject-out"),
    ("pamap2", (171, 27), {"101", "105"}, {"106"}, "3 people"),
    ("opportunity", (16, 113), {"S1", "S2"}, {"S4"}, "3 people"),
    ("opportunity:challenge", (16, 113), {"S1", "S2"}, {"S2"}, "not subject-independent"),
    ("skoda", (196, 30), {"block-01", "block-09"}, {"block-10"}, "80/10/10"),
])
def test_windows_and_sides(tmp_path: Path, spec: str, shape: tuple[int, int], train: set[str], test: set[str],
                           words: str) -> None:
    d = _load(tmp_path, spec)
    assert d.train.raw.shape[1:] == d.test.raw.shape[1:] == shape
    assert train <= set(d.train.subjects)
    assert set(d.test.subjects) == test
    assert words in d.info.protocol.split + d.info.protocol.metric
    assert d.info.citation and d.info.licence and d.info.licence_notice
    assert not d.info.protocol.leaking
    assert any("No checksum" in n for n in d.info.notes)
    if ":" not in spec:
        leaking = load_dataset(spec, tmp_path, split=LEAKING)
        assert leaking.info.protocol.leaking and "LEAKING" in leaking.info.protocol.split


@pytest.mark.parametrize("spec, inner", [("hapt", "HAPT Data Set.zip"), ("pamap2", "PAMAP2_Dataset.zip"),
                                         ("daphnet", "dataset_fog_release.zip")])
def test_an_archive_inside_another_and_a_folder_read_alike(tmp_path: Path, spec: str, inner: str) -> None:
    members = MAKERS[spec]()
    reference = _load(tmp_path, spec, members)
    for form, wrapped in ((MODULES[spec].SOURCE.download_name, inner), (next(iter(members)).split("/")[0], None)):
        root = tmp_path / form.removesuffix(".zip")
        root.mkdir()
        place(root, form, members, wrapped)
        d = load_dataset(spec, root)
        assert np.array_equal(d.train.raw, reference.train.raw)
        assert np.array_equal(d.test.y, reference.test.y)


# ---- what is particular to one format


def test_hapt_labels_its_samples(tmp_path: Path) -> None:
    d = _load(tmp_path, "hapt", window=10, hop=10)
    first = d.train.select(d.train.recording == "exp01_user01")
    assert len(first) == 17  # samples 11 to 180 of 200
    assert set(first.y.tolist()) == {1}
    assert d.info.classes[1] == "WALKING_UPSTAIRS"
    assert f"{61 * 30:,} samples" in d.info.notes[1]


def test_daphnet_drops_what_is_not_the_experiment_and_is_named_as_partial(tmp_path: Path) -> None:
    d = _load(tmp_path, "daphnet", window=64, hop=64)
    assert np.bincount(d.test.y).tolist() == [4, 4]
    assert d.info.title.endswith("(3 of 17 files)")
    assert "partial" in d.info.licence_notice
    assert "S01R02, S02R02, S03R01, S03R02, S04R01 and 9 more" in d.info.notes[0]
    whole = _load(tmp_path, "daphnet", daphnet_members(daphnet.OFFICIAL))
    assert len(daphnet.OFFICIAL) == 17
    assert "of 17" not in whole.info.title and "partial" not in whole.info.licence_notice


def test_dsads_joins_segments_in_order(tmp_path: Path) -> None:
    d = _load(tmp_path, "dsads", window=250, hop=250)
    assert d.train.raw[0, [0, 124, 125, 249], 0].tolist() == [128, 128, 256, 256]
    assert d.info.title.endswith("(3 of 8 subjects)")
    assert len(vectors(d.info.channels)) == 15


def test_wisdm_survives_the_flaws_of_the_official_file(tmp_path: Path) -> None:
    members = wisdm_members()
    raw = members["WISDM_ar_v1.1/WISDM_ar_v1.1_raw.txt"]
    many = raw.replace(b"1,Walking", b"2,Walking") * 20  # so many that one broken record in a thousand is few
    cut = b"1,Jogging,5,1,;\n"  # z is missing
    d = _load(tmp_path, "wisdm", {next(iter(members)): raw + many + cut})
    assert any("1 incomplete records and 21 with time 0" in n for n in d.info.notes)
    walking = d.train.select((d.train.y == 0) & (d.train.subject == "01"))
    assert len(walking) == 4  # 260 records, windows of 200 every 20
    assert np.array_equal(walking.raw[0, :, 1], np.rint(np.arange(200) / 100 * 1024))
    assert walking.raw[0, 0, [0, 2]].tolist() == [512, round(-9.81 * 1024)]


def test_wisdm_cuts_at_gaps(tmp_path: Path) -> None:
    members = wisdm_members()
    lines = members["WISDM_ar_v1.1/WISDM_ar_v1.1_raw.txt"].split(b"\n")
    d = _load(tmp_path, "wisdm", {next(iter(members)): b"\n".join(lines[:100] + lines[125:])})  # 1.25 s of walking
    assert 0 not in d.train.y
    assert any("2 of 5 uninterrupted pieces" in n for n in d.info.notes)


def test_unimib_shar_takes_its_rows_apart(tmp_path: Path) -> None:
    d = _load(tmp_path, "unimib-shar")
    assert d.test.y.tolist() == [*range(17), *range(17)]
    assert np.array_equal(d.test.raw[0], np.tile([1024, 2048, 26 * 128], (151, 1)))


def test_pamap2_interpolates_short_gaps_and_drops_long_ones(tmp_path: Path) -> None:
    place(tmp_path, "PAMAP2_Dataset.zip", pamap2_members())
    recordings, notes = pamap2.read_pamap2(tmp_path / "PAMAP2_Dataset.zip")
    r = recordings[0]
    assert r.counts.shape == (600, 27)
    assert np.array_equal(r.counts[:400, 0], np.rint(np.arange(0, 1200, 3) / 100 * 200))  # no trace of the short gap
    assert np.unique(r.labels[:200]).tolist() == [3]
    assert set(r.labels[200:400].tolist()) == {UNLABELLED}
    dropped = np.flatnonzero(r.labels[400:] == UNLABELLED) + 400
    assert (3 * dropped.min(), 3 * dropped.max()) == (1302, 1398)
    assert "330 samples at 100 Hz lack a value" in notes[1] and "300 in gaps" in notes[1]


def test_opportunity_reads_the_channels_of_the_challenge_and_labels_by_the_last_sample(tmp_path: Path) -> None:
    d = _load(tmp_path, "opportunity", members=opportunity_members(), hop=1)
    columns = [2, 3, *range(4, 47), *range(51, 60), *range(64, 73), *range(77, 86), *range(90, 99), *range(103, 135)]
    expected = 10 * np.array(columns)
    expected[1] = 0  # a channel without any value
    assert np.array_equal(d.test.raw[0, 0], expected)
    assert d.test.raw[0, 5, 0] == 20  # interpolated
    assert d.test.y.tolist() == [0] * 9 + [1] * 24  # the window that ends at sample 24 is the first gesture
    assert d.info.protocol.metric == "weighted F1" and len(d.info.classes) == 18
    assert all(c.name != "EuX fused" or not c.on_device for c in d.info.channels)


def test_skoda_keeps_overlapping_windows_on_one_side(tmp_path: Path) -> None:
    d = _load(tmp_path, "skoda")
    assert set(d.train.y.tolist()) == set(d.test.y.tolist()) == set(range(10))
    assert len(d.train.subjects) == 9
    assert len(d.test) == 10  # one repetition of each gesture; of half gesture, half null the null wins
    starts = np.array([0, 98, 196, 392, 490, 588])
    windows = Windows(np.zeros((6, 196, 30), np.int16), np.array([0, 1, 0, 1, 0, 1]), *[np.full(6, "x")] * 2)
    kept, lost = skoda.blocks_in_time(windows, starts, 196)  # blocks 1 1 4 4 7 7
    assert kept.subject.tolist() == ["block-01", "block-01", "block-04", "block-07"]
    assert lost == 2  # at 196, which overlaps 98; at 490, which overlaps 392; 588 touches nothing that is kept
    with pytest.raises(DataError, match="no split 'subjects'"):
        load_dataset("skoda", tmp_path, split="subjects")


@pytest.mark.parametrize("values, longest, filled, far", [
    ([1, np.nan, 3], None, [1, 2, 3], [0, 0, 0]), ([np.nan, 5, np.nan], 1, [5, 5, 5], [0, 0, 0]),
    ([1, np.nan, np.nan, 7], 1, [1, 3, 5, 7], [0, 1, 1, 0]), ([np.nan, np.nan], 1, [0, 0], [1, 1]),
    ([np.nan, np.nan], 2, [0, 0], [0, 0]), ([1, 2], 0, [1, 2], [0, 0]),
])
def test_gaps(values: list[float], longest: int | None, filled: list[float], far: list[int]) -> None:
    found, rows = fill_gaps(np.array([values]).T, longest)
    assert found[:, 0].tolist() == filled
    assert rows.astype(int).tolist() == far


# ---- damage: names the file, the place and what to do


def _edit(name: str, line: int, old: bytes, new: bytes) -> Callable[[Members], None]:
    def damage(members: Members) -> None:
        lines = members[name].split(b"\n")
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new, 1)
        members[name] = b"\n".join(lines)
    return damage


def _put(name: str, content: bytes) -> Callable[[Members], None]:
    return lambda members: members.update({name: content})


_DAPHNET, _PAMAP2 = "dataset_fog_release/dataset/S02R01.txt", "PAMAP2_Dataset/Protocol/subject105.dat"
_OPPORTUNITY, _DSADS = "OpportunityUCIDataset/dataset/S2-ADL4.dat", "data/a07/p2/s02.txt"
_WISDM = "WISDM_ar_v1.1/WISDM_ar_v1.1_raw.txt"
_SKODA, _UNIMIB = "SkodaMiniCP_2015_08/right_classall_clean.mat", "UniMiB-SHAR/data/acc_labels.mat"


@pytest.mark.parametrize("spec, damage, words", [
    ("hapt", lambda m: m.pop("HAPT Data Set/RawData/labels.txt"), ["labels.txt is missing"]),
    ("hapt", lambda m: m.pop("HAPT Data Set/RawData/acc_exp07_user04.txt"), ["121 of 122"]),
    ("hapt", _edit("HAPT Data Set/RawData/labels.txt", 3, b" 180", b" 201"), ["labels.txt, line 3", "200 samples"]),
    ("daphnet", lambda m: m.update({_DAPHNET: m[_DAPHNET].rstrip()[:-1] + b"3"}),
     ["S02R01.txt, line 640, column 11", "annotation 3"]),
    ("daphnet", lambda m: [m.pop(k) for k in list(m)[1:]], ["01 alone"]),
    ("dsads", lambda m: m.pop(_DSADS), ["lacks 1 of the 114 files", "a07/p2/s02.txt"]),
    ("dsads", lambda m: m.clear(), ["no file like a01/p1/s01.txt"]),
    ("dsads", _edit(_DSADS, 9, b",", b";"), ["s02.txt, line 9"]),
    ("dsads", lambda m: m.update({_DSADS: m[_DSADS] * 2}), ["250 lines instead of 125"]),
    ("wisdm", lambda m: m.clear(), ["no WISDM_ar_v1.1_raw.txt"]),
    ("wisdm", lambda m: m.update({_WISDM: m[_WISDM].replace(b"Walking,1000", b"Walkin,1000")}),
     ["raw.txt, line 1", "1,Walkin,1000,"]),
    ("unimib-shar", lambda m: m.pop(_UNIMIB), ["lacks data/acc_labels.mat"]),
    ("unimib-shar", _put(_UNIMIB, b"MATLAB 5.0"), ["acc_labels.mat", "MATLAB"]),
    ("unimib-shar", _put(_UNIMIB, mat("acc_labels", np.full((68, 3), 18))), ["row 1, column 1", "class 18"]),
    ("unimib-shar", _put(_UNIMIB, mat("acc_labels", np.ones((67, 3)))), ["68 rows", "67"]),
    ("unimib-shar", _put(_UNIMIB, mat("other", np.ones((68, 3)))), ["no variable acc_labels"]),
    ("pamap2", _edit(_PAMAP2, 2, b" 4 ", b" 8 "), ["subject105.dat, line 2, column 2", "activity 8"]),
    ("pamap2", _edit(_PAMAP2, 7, b"nan", b"inf"), ["line 7, column 3", "inf"]),
    ("opportunity", _edit(_OPPORTUNITY, 48, b"406516", b"406599"), ["S2-ADL4.dat, line 48, column 250", "406599"]),
    ("opportunity", _edit(_OPPORTUNITY, 5, b" 2490", b""), ["line 5", "249 columns instead of 250"]),
    ("skoda", _put(_SKODA, mat("right_classall_clean", np.full((300, 71), 31.0))), ["row 1, column 1", "label 31"]),
    ("skoda", _put(_SKODA, mat("right_classall_clean", np.full((300, 70), 48.0))), ["[300, 70]", "71"]),
    ("skoda", _put(_SKODA, mat("right_classall_clean", np.full((300, 71), np.nan))), ["row 1, column 1"]),
])
def test_damage_is_named(tmp_path: Path, spec: str, damage: Callable[[Members], object], words: list[str]) -> None:
    members = MAKERS[spec]()
    damage(members)
    place(tmp_path, MODULES[spec].SOURCE.names[0], members)
    with pytest.raises(DataError) as e:
        load_dataset(spec, tmp_path)
    for word in words:
        assert word in e.value.message
    assert e.value.hint
    assert "\n" not in e.value.message + e.value.hint


@pytest.mark.parametrize("spec", MAKERS)
@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"",
                                    lambda b: b[:300] + bytes(64) + b[364:]])
def test_a_broken_archive_is_an_error_of_its_name(tmp_path: Path, spec: str,
                                                  damage: Callable[[bytes], bytes]) -> None:
    name = MODULES[spec].SOURCE.names[0]
    place(tmp_path, name, MAKERS[spec]())
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    with pytest.raises(DataError) as e:
        load_dataset(spec, tmp_path)
    assert name in e.value.message
    assert e.value.hint


@pytest.mark.parametrize("spec, word", [
    ("dsads:loso=p9", "no subject 'p9'"), ("dsads:loso", "loso=SUBJECT"), ("watch:loso=11", "no subject '11'"),
    ("hapt:row", "no dataset 'hapt:row'"), ("skoda:loso=1", "no split 'loso=1'"),
])
def test_splits_that_do_not_exist(tmp_path: Path, spec: str, word: str) -> None:
    if not spec.startswith("watch"):
        place(tmp_path, MODULES[spec.partition(":")[0]].SOURCE.names[0], MAKERS[spec.partition(":")[0]]())
    with pytest.raises(DataError, match=word):
        load_dataset(spec, tmp_path)


def test_one_person_is_left_out_of_every_older_dataset(tmp_path: Path) -> None:
    d = load_dataset("watch:loso=03")
    assert d.test.subjects == ("03",) and len(d.train.subjects) == 9
    rows = "".join(f"p{p},{c},0.1\n" for p in (1, 2, 3) for c in ("a", "b") for _ in range(8))
    (tmp_path / "own.csv").write_text("# rate_hz: 2\nsubject,label,acc_x[g]\n" + rows)
    own = load_dataset(f"csv:{tmp_path / 'own.csv'}", window=8, split="loso=p2")
    assert own.test.subjects == ("p2",)
    assert "leave-one-subject-out" in own.info.protocol.split


# ---- the real archives, where they are at hand


def _real(module: object) -> Path | None:
    return next((REAL / n for n in module.SOURCE.names if (REAL / n).exists()), None)  # type: ignore[attr-defined]


@pytest.mark.skipif(_real(hapt) is None, reason="HAPT is not in HAREMBED_DATA or ../shared/data")
def test_real_hapt() -> None:
    recordings, saturation = hapt.read_hapt(_real(hapt))  # type: ignore[arg-type]
    assert len(recordings) == 61 and len({r.subject for r in recordings}) == 30
    assert sum(len(r.counts) for r in recordings) == 1_122_772
    assert {int(c) for r in recordings for c in np.unique(r.labels)} == {UNLABELLED, *range(12)}
    assert "No sample" in saturation


@pytest.mark.skipif(_real(daphnet) is None, reason="Daphnet is not in HAREMBED_DATA or ../shared/data")
def test_real_daphnet() -> None:
    recordings, _ = daphnet.read_daphnet(_real(daphnet))  # type: ignore[arg-type]
    if len(recordings) == 7:
        assert sum(len(r.counts) for r in recordings) == 417_906
        assert sum(int((r.labels == 1).sum()) for r in recordings) == 16_799


@pytest.mark.slow
@pytest.mark.skipif(_real(dsads) is None, reason="DSADS is not in HAREMBED_DATA or ../shared/data")
def test_real_dsads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsads, "SEGMENTS", 60)
    d = load_dataset("dsads:loso=p3", REAL)
    people = len(d.train.subjects) + 1
    assert np.bincount(d.test.y).tolist() == [60] * 19
    assert np.bincount(d.train.y).tolist() == [60 * (people - 1)] * 19
    assert (people == 8) == ("of 8 subjects" not in d.info.title)
