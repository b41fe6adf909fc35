"""What a simulator needs from a firmware's ELF file: the bytes to load and the names of addresses."""

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harembed.errors import HarnessError
from harembed.harness.instruction_counts import Symbol, SymbolTable


@dataclass(frozen=True)
class ElfImage:
    path: Path
    segments: tuple[tuple[int, bytes], ...]  # load address, bytes
    functions: SymbolTable
    symbols: dict[str, Symbol]  # all others and functions, by name

    def symbol(self, name: str) -> Symbol:
        if name not in self.symbols:
            raise HarnessError(f"{self.path} has no symbol {name!r}.", "Build it with harembed, and do not strip it.")
        return self.symbols[name]


def read_elf(path: Path) -> ElfImage:
    """Read a firmware.

    Raises
    ------
    HarnessError    it does not exist or is no ELF file for Arm
    """
    try:
        with open(path, "rb") as f:
            elf = ELFFile(f)
            if elf["e_machine"] != "EM_ARM":
                raise HarnessError(f"{path} is for {elf['e_machine']}, not for Arm.", "Choose another --board.")
            segments = tuple((s["p_paddr"], s.data()) for s in elf.iter_segments()
                             if s["p_type"] == "PT_LOAD" and s["p_filesz"] > 0)
            table = elf.get_section_by_name(".symtab")
            entries = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
    except FileNotFoundError as e:
        raise HarnessError(f"There is no firmware {path}.", "`harembed search` builds it; choose its run.") from e
    except (OSError, ELFError) as e:
        raise HarnessError(f"{path} is not an ELF file: {e}.", "Delete it and run `harembed search` again.") from e
    functions = [Symbol(s.name, s["st_value"] & ~1, s["st_size"]) for s in entries
                 if s["st_info"]["type"] == "STT_FUNC"]
    symbols = {s.name: Symbol(s.name, s["st_value"], s["st_size"]) for s in entries if s.name}
    return ElfImage(path, segments, SymbolTable(functions), symbols)
