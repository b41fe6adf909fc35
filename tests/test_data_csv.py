"""csv:PATH: the documented format reads, and every fault names its file and line."""

from pathlib import Path

import numpy as np
import pytest

from harembed.data import load_dataset
from harembed.data.csv_format import COUNTS_PER_UNIT, CSV_FORMAT, read_csv_file
from harembed.errors import DataError

HEADER = "subject,label,recording,acc_x[g],gyro.z[deg/s/100]"


def _rows(subject: str, label: str, n: int, recording: str = "r", start: int = 0) -> list[str]:
    return [f"{subject},{label},{recording},{(start + i) / 4096},{-i / 100}" for i in range(n)]


def _write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding)
    return path


def _good(people: str = "abc") -> list[str]:
    lines = ["# rate_hz: 25", "# classes: walk, rest", "# a remark: kept out", "", HEADER]
    for p in people:
        lines += _rows(p, "walk", 60, "one") + _rows(p, "rest", 60, "two", 5)
    return lines


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    one = _write(tmp_path / "all.csv", _good(), encoding="utf-8-sig")  # as spreadsheets save it
    d = load_dataset(f"csv:{one}", window=32, hop=16)
    assert d.info.classes == ("walk", "rest")
    assert d.info.rate_hz == 25
    assert [(c.name, c.kind, c.unit) for c in d.info.channels] == [("acc_x", "acc", "g"), ("gyro.z", "gyro", "deg/s")]
    assert (len(d.train.subjects), len(d.test.subjects)) == (2, 1)
    assert len(d.test) == 4
    assert d.extra is not None
    assert len(d.extra) == 6 * 29 - 12  # all other starts of all recordings: fewer than 1,000 exist
    first = d.train.select(d.train.y == 1).raw[0]
    assert first[:3].tolist() == [[5, 0], [6, -1], [7, -2]]
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    _write(folder / "a.csv", _good("a"))
    _write(folder / "sub" / "b.csv", _good("b"))
    assert len(load_dataset(f"csv:{folder}", window=32).test.subjects) == 1


def test_training_windows_may_overlap_more(tmp_path: Path) -> None:
    spec = f"csv:{_write(tmp_path / 'a.csv', _good())}"
    d, denser = load_dataset(spec, window=32, hop=16), load_dataset(spec, window=32, hop=16, train_hop=4)
    assert (denser.test.raw == d.test.raw).all() and denser.test.subjects == d.test.subjects
    assert len(denser.train) > 3 * len(d.train) and denser.train.subjects == d.train.subjects
    assert {w.tobytes() for w in d.train.raw} <= {w.tobytes() for w in denser.train.raw}
    assert (denser.info.protocol.hop, denser.info.protocol.train_hop, d.info.protocol.train_hop) == (16, 4, None)
    with pytest.raises(DataError, match="would hold test samples"):
        load_dataset(spec, window=32, hop=16, split="leaking-random-windows", train_hop=4)


def test_default_window_and_chosen_test_subjects(tmp_path: Path) -> None:
    lines = _good()
    lines.insert(1, "# test_subjects: b, c")
    d = load_dataset(f"csv:{_write(tmp_path / 'a.csv', lines)}", window=60)
    assert d.test.subjects == ("b", "c")
    lines = [x.replace("rate_hz: 25", "rate_hz: 10") for x in lines]
    d = load_dataset(f"csv:{_write(tmp_path / 'a.csv', lines)}")
    assert (d.info.protocol.window, d.info.protocol.hop) == (32, 16)  # 2.56 s at 10 Hz are 25.6 samples


def test_rate_from_times_and_unlabelled_rows(tmp_path: Path) -> None:
    lines = ["time_s,subject,label,a[count]"]
    for p in "ab":
        lines += [f"{i / 40:.3f},{p},{'' if i < 40 else 10 if i < 80 else 9},{i}" for i in range(120)]
    d = load_dataset(f"csv:{_write(tmp_path / 'a.csv', lines)}", window=20, hop=20)
    assert d.info.rate_hz == pytest.approx(40)
    assert d.info.classes == ("9", "10")  # numbers sort as numbers
    assert d.test.y.tolist() == [1, 1, 0, 0]
    assert d.test.raw[0, 0, 0] == 40


def test_one_person_needs_another_split(tmp_path: Path) -> None:
    lines = [*_good("a"), *_rows("a", "walk", 60, "three"), *_rows("a", "rest", 60, "four")]
    path = _write(tmp_path / "me.csv", lines)
    with pytest.raises(DataError, match="only one subject") as e:
        load_dataset(f"csv:{path}", window=32)
    assert "--split recordings" in e.value.hint
    d = load_dataset(f"csv:{path}", window=32, split="recordings")
    assert not d.info.protocol.leaking
    assert not set(d.train.recording) & set(d.test.recording)
    assert "not subject-independent" in d.info.protocol.split
    assert load_dataset(f"csv:{path}", window=32, split="leaking-random-windows").info.protocol.leaking


def _with(line: int, text: str) -> list[str]:
    lines = _good()
    lines[line - 1] = text
    return lines


@pytest.mark.parametrize("lines, words", [
    (_with(9, "a,walk,one,0.1"), ["line 9", "4 columns, the header has 5"]),
    (_with(9, "a,walk,one,0,1,2,3"), ["line 9", "7 columns"]),
    (_with(10, "a,walk,one,nan,0"), ["line 10", "acc_x[g] is nan"]),
    (_with(10, "a,walk,one,inf,0"), ["line 10", "not a finite number"]),
    (_with(11, "a,walk,one,0,x1"), ["line 11", "'x1', not a number"]),
    (_with(11, "a,walk,one,,0"), ["line 11", "'', not a number"]),
    (_with(12, "a,wlak,one,0,0"), ["line 12", "label 'wlak' is not in", "walk, rest"]),
    (_with(12, ",walk,one,0,0"), ["line 12", "subject is empty"]),
    (_with(12, "b,walk,one,0,0"), ["line 13", "goes on after other rows"]),
    (_with(1, "# rate_hz: fast"), ["line 1", "'fast'"]),
    (_with(1, "# rate_hz: 0"), ["line 1", "positive"]),
    (_with(1, "#"), ["rate is not stated"]),
    (_with(5, "subject,label,acc_x,b[g],c[g]"), ["line 5", "'acc_x' has no unit"]),
    (_with(5, "subject,label,recording,acc_x[furlong],c[g]"), ["line 5", "unknown unit"]),
    (_with(5, "subject,class,recording,a[g],c[g]"), ["line 5", "no column 'label'", "subject,class"]),
    (_with(5, "subject,recording,d[g],a[g],c[g]"), ["line 5", "no column 'label'"]),
    (_with(5, "subject,label,recording,a[g],a[g]"), ["line 5", "two columns"]),
    (_good()[5:], ["line 1", "the header has no column 'subject'", "a,walk,one"]),
    (_good()[:4], ["no header line"]),
    (_good()[:5], ["no sample"]),
    ([x.replace("/100]", "/1e6]") for x in _good()], ["gyro.z are beyond"]),
    ([x.replace("walk", "rest") for x in _good() if "classes" not in x], ["1 class (rest)"]),
])
def test_faults_name_file_and_line(tmp_path: Path, lines: list[str], words: list[str]) -> None:
    path = _write(tmp_path / "mine.csv", lines)
    with pytest.raises(DataError) as e:
        load_dataset(f"csv:{path}", window=32)
    for word in ["mine.csv", *words]:
        assert word in e.value.message
    assert e.value.hint
    assert "\n" not in e.value.message + e.value.hint


@pytest.mark.parametrize("second, word", [
    ([x.replace("acc_x[g]", "acc_x[g/8192]") for x in _good("b")], "b.csv, line 5: channels"),
    ([x.replace("rate_hz: 25", "rate_hz: 50") for x in _good("b")], "50 Hz"),
    ([x.replace("walk, rest", "rest, walk") for x in _good("b")], "classes"),
    (["# test_subjects: z", *_good("b")], "'z', who is not in the files"),
    (["# test_subjects: a, b", *_good("b")], "names everybody"),
])
def test_files_that_disagree(tmp_path: Path, second: list[str], word: str) -> None:
    _write(tmp_path / "a.csv", _good("a"))
    _write(tmp_path / "b.csv", second)
    with pytest.raises(DataError) as e:
        load_dataset(f"csv:{tmp_path}", window=1)
    assert word in e.value.message


def test_a_window_longer_than_a_recording(tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.csv", [*_good(), *_rows("d", "walk", 7, "short")])
    with pytest.raises(DataError, match=r"Recording mine/d/short has 7 samples \(0.28 s\), the window needs 32"):
        load_dataset(f"csv:{path}", window=32)


@pytest.mark.parametrize("times, word", [
    ([0, 1, 2, 3, 5, 6, 7], "line 6: time_s steps by 0.04 s, the median step is 0.02"),
    ([0, 1, 2, 1, 2, 3, 4], "line 5: time_s steps by -0.02"), ([0] * 7, "does not rise"),
])
def test_gaps_in_time(tmp_path: Path, times: list[int], word: str) -> None:
    path = _write(tmp_path / "t.csv", ["time_s,subject,label,a[g]", *(f"{t / 50},p,x,0" for t in times)])
    with pytest.raises(DataError) as e:
        read_csv_file(path)
    assert word in e.value.message


def test_the_printed_example_reads(tmp_path: Path) -> None:
    example = [line.strip() for line in CSV_FORMAT.splitlines() if line[:4].isspace() and line[4:5] > " "]
    f = read_csv_file(_write(tmp_path / "example.csv", example))
    assert (f.rate_hz, f.classes, f.test_subjects) == (50.0, ("walk", "run", "rest"), ("p3",))
    assert [c.kind for c in f.channels] == ["acc"] * 3 + ["gyro"]
    assert f.values.shape == (2, 4)
    assert np.isclose(f.values[1, 1], -0.979)
    assert max(map(len, CSV_FORMAT.splitlines())) < 80  # as `harembed datasets` prints it
    for unit, counts in COUNTS_PER_UNIT.items():
        assert f"{unit} {counts:g}" in CSV_FORMAT


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"subject,label,a[g]\np\xe9,x,0\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_csv_file(path)
