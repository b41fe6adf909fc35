"""Fixtures of more than one file of tests."""

import shutil

import pytest
from small_firmware import GRAPH

from harembed.build import build_firmware, build_host
from harembed.export.csource import generate


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """{board name: firmware}, each built when first asked for."""
    folder, built = tmp_path_factory.mktemp("images"), {}

    def image(board):
        if board.name not in built:
            sources, out = generate(GRAPH), folder / board.name
            on_host = board.kind == "host"
            built[board.name] = build_host(sources, out) if on_host else build_firmware(sources, board, out).elf
        return built[board.name]

    return image


@pytest.fixture
def needs_qemu():
    def check():
        if shutil.which("qemu-system-arm") is None:
            pytest.skip("qemu-system-arm is not installed")

    return check
