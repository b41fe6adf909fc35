"""Board files: those that come with harembed load, and a wrong one is refused with its key named."""

import pytest

from harembed.board import board_names, load_board
from harembed.errors import BoardError
from harembed.resources import resource_dir


@pytest.mark.parametrize("name", board_names())
def test_boards_that_come_with_harembed_load(name):
    board = load_board(name)
    assert board.name == name
    assert (resource_dir("firmware") / "port" / board.port_sources[0]).is_file()
    assert board.kind == "host" or board.ram_budget_bytes <= board.ram_bytes


def test_default_board_is_the_papers():
    board = load_board("nucleo_l552ze_q")
    # Zhou et al. (SFTNAS): 512 kB flash, 256 kB SRAM, L_Mem = 96 kB.
    assert (board.flash_bytes, board.ram_bytes, board.ram_budget_bytes) == (512 * 1024, 256 * 1024, 96_000)
    assert board.cycle_model.cycles(1000, 10, 100, 4) == pytest.approx(1000 + 11 + 92 + 20)


@pytest.mark.parametrize("old, new, in_message, in_hint", [
    ("stack_bytes = 4096", "stack_byte = 4096", "memory.stack_byte: unknown key", "stack_bytes"),
    ("bytes = 262_144", "size = 262_144", "memory.ram.size: unknown key", "bytes"),
    ('name = "SRAM2"', 'nam = "SRAM2"', "memory.banks.1.nam: unknown key", "name"),
    ("[budget]", "[bugdet]", "bugdet: unknown key", "budget"),
    ('title = "ST', 'name = "x"\ntitle = "ST', "name: unknown key", "stem"),
    ("stack_bytes = 4096", "", "memory.stack_bytes: missing", "stack_bytes"),
    ("stack_bytes = 4096", "stack_bytes = 4095", "memory.stack_bytes: 4095 is not a multiple", ""),
    ("dsp = true", 'dsp = "yes"', "core.dsp: ", ""),
    ("ram_bytes = 96_000", 'ram_bytes = "96000"', "budget.ram_bytes: ", ""),
    ("ram_bytes = 96_000", "ram_bytes = 0", "budget.ram_bytes: ", ""),
    ("ram_bytes = 96_000", "ram_bytes = 300_000", "300,000 exceeds the 262,144 bytes", ""),
    ("default_hz = 110_000_000", "default_hz = 120_000_000", "clock: default_hz = 120000000 is not among", ""),
    ("bytes = 65_536", "bytes = 65_535", "memory: the banks hold 262,143 bytes", ""),
    ('kind = "device"', 'kind = "devise"', "kind: ", ""),
    ("cycles_per_taken_branch = 1.1", "cycles_per_taken_branch = nan", "cycle_model.cycles_per_taken_branch: ", ""),
    ("title =", "title = =", "is not TOML", ""),
])
def test_a_wrong_board_file_is_refused_by_key(tmp_path, old, new, in_message, in_hint):
    text = (resource_dir("boards") / "nucleo_l552ze_q.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BoardError) as e:
        load_board(path)
    assert str(path) in e.value.message and in_message in e.value.message
    assert in_hint in e.value.hint and e.value.hint


@pytest.mark.parametrize("name, expected", [("nucleo_l552ze", "nucleo_l552ze_q"), ("missing.toml", "missing.toml")])
def test_an_unknown_board_names_the_nearest(name, expected):
    with pytest.raises(BoardError, match=expected):
        load_board(name)
