"""The public datasets: official formats as small archives made here, and the real archives where at hand."""

import hashlib
import http.server
import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_archives import Members, place

from harembed.data import DATASETS, SPECS, load_dataset
from harembed.data import motionsense as ms
from harembed.data import uci_har as uci
from harembed.data.source import find_or_download
from harembed.data.watch import read_watch, watch_path
from harembed.errors import DataError

REAL = Path(os.environ.get("HAREMBED_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_uci = pytest.mark.skipif(not (REAL / "UCI HAR Dataset.zip").exists(),
                               reason="UCI HAR Dataset.zip is not in HAREMBED_DATA or ../shared/data")
needs_ms = pytest.mark.skipif(not any((REAL / n).exists() for n in ms.SOURCE.names),
                              reason="A_DeviceMotion_data is not in HAREMBED_DATA or ../shared/data")


# ---- watch: the wheel is always installed


def test_watch_is_whole_and_split_by_person() -> None:
    recordings, classes, saturation = read_watch(watch_path())
    assert len(recordings) == len({r.name for r in recordings}) == 140
    assert classes == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert sum(len(r.counts) for r in recordings) == 244_102
    assert "No sample" in saturation
    for who in {r.subject for r in recordings}:  # 7 exercises with each arm
        assert len([r for r in recordings if r.subject == who]) == 14
    d = load_dataset()
    assert d.test.subjects == ("08", "09", "10")
    assert len(d.train.subjects) == 7
    assert set(d.train.y) == set(d.test.y) == set(range(7))
    assert len(d.test) + len(d.extra or ()) >= 1000
    assert not d.info.protocol.leaking


def test_watch_counts_are_the_rounded_samples() -> None:
    # The oracle reads the pickle in full; it is the file of the installed wheel.
    truth = np.load(watch_path(), allow_pickle=True).item()
    recordings, _, _ = read_watch(watch_path())
    for i in (0, 77, 139):
        expected = np.rint(truth["X"][i] * ([4096.0] * 3 + [1024.0] * 3)).astype(np.int16)
        assert np.array_equal(recordings[i].counts, expected)
        assert recordings[i].labels[0] == truth["y"][i]
        assert int(recordings[i].subject) == truth["subject"][i]


class _Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


def _object_npy(value: object) -> bytes:
    f = io.BytesIO()
    np.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": ()})
    return f.getvalue() + pickle.dumps(value, protocol=2)


@pytest.mark.parametrize("content, word", [
    (_object_npy(_Evil()), "system"),
    (_object_npy({"X": np.float64}), "float64"),
    (_object_npy(np.zeros(3)), "damaged"),
    (b"\x93NUMPY", "damaged"), (b"", "damaged"), (b"\x80\x02.", "damaged"),
])
def test_a_foreign_pickle_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "watch_dataset.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=word):
        read_watch(path)


@pytest.mark.parametrize("kept", [0.0001, 0.5, 0.9999])
def test_a_truncated_watch_file_is_named(tmp_path: Path, kept: float) -> None:
    whole = watch_path().read_bytes()
    path = tmp_path / "watch_dataset.npy"
    path.write_bytes(whole[:int(kept * len(whole))])
    with pytest.raises(DataError, match=r"watch_dataset\.npy"):
        read_watch(path)


def test_watch_asked_to_leak_says_so() -> None:
    d = load_dataset("watch", split="leaking-random-windows")
    assert d.info.protocol.leaking
    assert "LEAKING" in d.info.protocol.split
    assert set(d.train.recording) & set(d.test.recording)
    with pytest.raises(DataError, match="are in train and test"):  # the same windows cannot pass as a clean split
        replace(d, info=replace(d.info, protocol=replace(d.info.protocol, leaking=False)))


# ---- small archives in the official formats


def _uci_members() -> Members:
    """Two training and one test subject, 4 and 3 windows; the value tells channel, window and sample."""
    members: Members = {"UCI HAR Dataset/README.txt": b"caf\xe9"}
    for part, people in (("train", (1, 1, 3, 3)), ("test", (2, 2, 2))):
        lines = "".join(f"{i % 6 + 1}\n" for i in range(len(people)))
        members[f"UCI HAR Dataset/{part}/y_{part}.txt"] = lines.encode()
        members[f"UCI HAR Dataset/{part}/subject_{part}.txt"] = "".join(f"{p}\n" for p in people).encode()
        for c, channel in enumerate(uci.CHANNELS):
            rows = [" ".join(f" {(c + 1) / 8 + w / 64 + t / 8192:.7e}" for t in range(128))
                    for w in range(len(people))]
            name = f"UCI HAR Dataset/{part}/Inertial Signals/{channel.name}_{part}.txt"
            members[name] = ("\n".join(rows) + "\n").encode()
    return members


def _ms_members() -> Members:
    values = ",".join(f"{v:.3f}" for v in np.random.default_rng(0).uniform(-1, 1, 12))
    content = "\n".join([",".join(ms.HEADER), *(f"{i},{values}" for i in range(160))]).encode() + b"\n"
    members: Members = {}
    for activity, trials in ms.TRIAL_NUMBERS.items():
        for trial in trials:
            for subject in ms.SUBJECT_NUMBERS:
                members[f"A_DeviceMotion_data/{activity}_{trial}/sub_{subject}.csv"] = content
    return members


def _place(root: Path, name: str, members: Members) -> None:
    place(root, name, members, "UCI HAR Dataset.zip" if name == uci.SOURCE.download_name else None)


@pytest.mark.parametrize("name", uci.SOURCE.names)
def test_uci_har_from_every_form_of_the_archive(tmp_path: Path, name: str) -> None:
    _place(tmp_path, name, _uci_members())
    d = load_dataset("uci-har", tmp_path)
    assert d.train.raw.shape == (4, 128, 9)
    assert d.train.subjects == ("01", "03")
    assert d.test.subjects == ("02",)
    assert d.test.y.tolist() == [0, 1, 2]
    window, time, channel = np.ogrid[:3, :128, :9]
    lsb_per_unit = np.array([8192] * 3 + [2048] * 3 + [8192] * 3)
    text = ((channel + 1) / 8 + window / 64 + time / 8192)
    rounded = np.array([float(f"{v:.7e}") for v in text.ravel()]).reshape(text.shape)  # as the file has it
    assert np.array_equal(d.test.raw, np.rint(rounded * lsb_per_unit).astype(np.int16))
    assert [c.name for c in d.info.channels if not c.on_device] == ["body_acc_x", "body_acc_y", "body_acc_z"]
    raw = load_dataset("uci-har:raw", tmp_path)
    assert np.array_equal(raw.train.raw, d.train.raw[:, :, [6, 7, 8, 3, 4, 5]])
    assert all(c.on_device for c in raw.info.channels)
    assert "commercial" in d.info.licence_notice
    assert any("official" in n or "checksum" in n for n in d.info.notes)


_SIGNAL = "UCI HAR Dataset/train/Inertial Signals/total_acc_y_train.txt"


def _edit_line(content: bytes, line: int, edit: Callable[[list[bytes]], list[bytes]]) -> bytes:
    lines = content.split(b"\n")
    lines[line - 1] = b" ".join(edit(lines[line - 1].split()))
    return b"\n".join(lines)


@pytest.mark.parametrize("damage, words", [
    (lambda m: m.pop(_SIGNAL), ["lacks 1 of 22", "total_acc_y_train"]),
    (lambda m: m.update({_SIGNAL: _edit_line(m[_SIGNAL], 2, lambda w: w[:-1])}),
     ["total_acc_y_train.txt, line 2", "127 columns instead of 128"]),
    (lambda m: m.update({_SIGNAL: _edit_line(m[_SIGNAL], 3, lambda w: [b"NaN", *w[1:]])}),
     ["line 3, column 1", "NaN"]),
    (lambda m: m.update({_SIGNAL: _edit_line(m[_SIGNAL], 1, lambda w: [*w[:4], b"1.0x", *w[5:]])}),
     ["line 1, column 5", "'1.0x'"]),
    (lambda m: m.update({_SIGNAL: b"\n".join(m[_SIGNAL].split(b"\n")[:3])}), ["has 3 lines", "has 4"]),
    (lambda m: m.update({_SIGNAL: b""}), ["total_acc_y_train.txt", "no line of numbers"]),
    (lambda m: m.update({"UCI HAR Dataset/test/y_test.txt": b"1\n2\n7\n"}), ["y_test.txt, line 3", "class 7"]),
])
def test_damaged_uci_har_names_the_place(tmp_path: Path, damage: Callable[[Members], object],
                                         words: list[str]) -> None:
    members = _uci_members()
    damage(members)
    _place(tmp_path, "UCI HAR Dataset.zip", members)
    with pytest.raises(DataError) as e:
        load_dataset("uci-har", tmp_path)
    for word in ["UCI HAR Dataset.zip", *words]:
        assert word in e.value.message
    assert e.value.hint


@pytest.mark.parametrize("name", ["UCI HAR Dataset.zip", "UCI HAR Dataset.tar.xz", uci.SOURCE.download_name])
@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"",
                                    lambda b: b[:3000] + bytes(64) + b[3064:]])
def test_a_broken_archive_is_an_error_of_its_name(tmp_path: Path, name: str,
                                                  damage: Callable[[bytes], bytes]) -> None:
    _place(tmp_path, name, _uci_members())
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    with pytest.raises(DataError) as e:
        load_dataset("uci-har", tmp_path)
    assert name in e.value.message
    assert e.value.hint


@pytest.mark.parametrize("form", ["A_DeviceMotion_data.zip", "A_DeviceMotion_data.tar.xz"])
def test_motionsense_protocols(tmp_path: Path, form: str) -> None:
    _place(tmp_path, form, _ms_members())
    d = load_dataset("motionsense", tmp_path)
    assert d.test.subjects == ms.TEST_SUBJECTS
    assert len(d.train) == 18 * 15
    assert d.extra is not None
    assert len(d.test) + len(d.extra) == 1000  # 90 test windows are too few for parity
    assert set(d.extra.recording) <= set(d.train.recording) | set(d.test.recording)
    trials = load_dataset("motionsense:trials", tmp_path)
    assert trials.info.protocol.hop == 118
    assert "not subject-independent" in trials.info.protocol.split
    assert {int(r.rsplit("-", 1)[1]) for r in trials.test.recording} == {11, 12, 13, 14, 15, 16}
    assert len(trials.train) == 24 * 9
    raw = load_dataset("motionsense:raw", tmp_path)
    total = d.train.raw[:, :, 3:6] / 4096 + d.train.raw[:, :, 6:9] / 16384
    assert np.abs(raw.train.raw[:, :, :3] / 2048 - total).max() < 1 / 2048
    assert np.array_equal(raw.train.raw[:, :, 3:], d.train.raw[:, :, :3])


@pytest.mark.parametrize("damage, words", [
    (lambda m: m.pop("A_DeviceMotion_data/sit_13/sub_7.csv"), ["lacks 1 of 360", "sit_13/sub_7.csv"]),
    (lambda m: m.update({"A_DeviceMotion_data/sit_13/sub_7.csv": b"0,1,2\n"}),
     ["sit_13/sub_7.csv, line 1", "header"]),
    (lambda m: m.update({"A_DeviceMotion_data/sit_13/sub_7.csv":
                         m["A_DeviceMotion_data/sit_13/sub_7.csv"] + b"160,0.5\n"}),
     ["sit_13/sub_7.csv, line 162", "2 columns instead of 13"]),
])
def test_damaged_motionsense_names_the_place(tmp_path: Path, damage: Callable[[Members], object],
                                             words: list[str]) -> None:
    members = _ms_members()
    damage(members)
    _place(tmp_path, "A_DeviceMotion_data.zip", members)
    with pytest.raises(DataError) as e:
        load_dataset("motionsense", tmp_path)
    for word in words:
        assert word in e.value.message


# ---- names, folders and the download


@pytest.mark.parametrize("spec, options, word", [
    ("uci-hra", {}, "Did you mean 'uci-har'"), ("uci-har:row", {}, "Did you mean 'uci-har:raw'"), ("csv", {}, "path"),
    ("watch", {"split": "random"}, "no split 'random'"), ("watch", {"window": 0}, "window is 0"),
    ("watch", {"window": 5000}, "has 947 samples"), ("uci-har", {"window": 64}, "window of 128 samples, 64"),
    ("uci-har", {"data_root": Path("no-such-folder")}, "no-such-folder does not exist"),
])
def test_wrong_requests(spec: str, options: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        load_dataset(spec, **options)  # type: ignore[arg-type]


def test_every_spec_has_a_loader() -> None:
    assert {s.partition(":")[0] for s in SPECS} == set(DATASETS)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local web server that hands out one small file; the cache folder is a temporary one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HAREMBED_DATA", raising=False)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/a.zip" else 404)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


_SHA256 = hashlib.sha256(b"hello").hexdigest()
_BLOB = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"  # echo -n hello | git hash-object --stdin


@pytest.mark.parametrize("sha256, blob, fits", [(_SHA256, None, True), (None, _BLOB, True), ("0" * 64, None, False),
                                                (None, "0" * 40, False)])
def test_a_download_is_checked_before_it_gets_its_name(tmp_path: Path, server: str, sha256: str | None,
                                                       blob: str | None, fits: bool) -> None:
    source = replace(uci.SOURCE, url=f"{server}/a.zip", sha256=sha256, git_blob=blob)
    if fits:
        path = find_or_download(source, None)
        assert path.read_bytes() == b"hello"
        assert find_or_download(replace(source, url="http://127.0.0.1:9/none"), None) == path  # from the cache
        return
    with pytest.raises(DataError) as e:
        find_or_download(source, None)
    assert ("0" * 40) in e.value.message
    assert "--data-root" in e.value.hint
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("path", ["/missing.zip", None])
def test_a_failed_download_says_what_to_do(tmp_path: Path, server: str, path: str | None) -> None:
    url = f"{server}{path}" if path else "http://127.0.0.1:9/none.zip"
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(DataError) as e:
        find_or_download(replace(uci.SOURCE, url=url), folder)
    assert "UCI-HAR is not at hand" in e.value.message
    assert url in e.value.hint
    assert str(folder) in e.value.hint
    assert "\n" not in e.value.message + e.value.hint


# ---- the real archives


@needs_uci
def test_real_uci_har() -> None:
    d = load_dataset("uci-har", REAL)
    assert np.bincount(d.train.y).tolist() == [1226, 1073, 986, 1286, 1374, 1407]
    assert np.bincount(d.test.y).tolist() == [496, 471, 420, 491, 532, 537]
    assert (len(d.train.subjects), len(d.test.subjects)) == (21, 9)
    assert "No sample" in d.info.notes[0]


@needs_ms
def test_real_motionsense() -> None:
    recordings, saturation = ms.read_motionsense(next(REAL / n for n in ms.SOURCE.names if (REAL / n).exists()),
                                                 ms.CHANNELS)
    assert len(recordings) == 360
    assert len({r.subject for r in recordings}) == 24
    assert sum(len(r.counts) for r in recordings) == 1_412_865
    assert saturation.endswith("userAcceleration.z: 1 beyond ±8 g.")
