"""Exception entry and return of an Armv8-M core in thread mode on its main stack, which Unicorn leaves out.

DDI 0553, "exception entry" and "exception return". The FPU's part of the frame is pushed at once, where silicon
reserves its place and pushes it when the handler uses the FPU: the memory is the same.
"""

import struct
from typing import Any

from unicorn import arm_const as arm

_EXC_RETURN = 0xFFFFFFB8  # to thread mode and main stack, basic frame
_BASIC = 0x10  # bit of EXC_RETURN: set if the frame is without FPU registers
_FRAME = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12,
          arm.UC_ARM_REG_LR)
_FPU_FRAME = tuple(arm.UC_ARM_REG_S0 + i for i in range(16))
_PADDED = 0x200  # bit of the pushed XPSR: the stack was not aligned to 8


def enter_exception(uc: Any, number: int, vector_table: int) -> None:
    """Push the frame and go to the handler of an exception."""
    read, write = uc.reg_read, uc.reg_write
    sp, xpsr = read(arm.UC_ARM_REG_SP), read(arm.UC_ARM_REG_XPSR)
    fpu = bool(read(arm.UC_ARM_REG_CONTROL) & 4)
    words = [read(r) for r in _FRAME] + [read(arm.UC_ARM_REG_PC), xpsr & ~_PADDED | (_PADDED if sp & 4 else 0)]
    if fpu:
        words += [read(r) for r in _FPU_FRAME] + [read(arm.UC_ARM_REG_FPSCR), 0]
    sp = (sp & ~7) - 4 * len(words)
    uc.mem_write(sp, struct.pack(f"<{len(words)}I", *words))
    write(arm.UC_ARM_REG_SP, sp)
    write(arm.UC_ARM_REG_LR, _EXC_RETURN & ~_BASIC if fpu else _EXC_RETURN)
    write(arm.UC_ARM_REG_XPSR, xpsr & 0xF80F0000 | 1 << 24 | number)  # flags stay, the IT state goes
    write(arm.UC_ARM_REG_PC, struct.unpack("<I", uc.mem_read(vector_table + 4 * number, 4))[0])


def leave_exception(uc: Any) -> None:
    """Pop the frame that the EXC_RETURN value in the program counter describes."""
    read, write = uc.reg_read, uc.reg_write
    fpu = not read(arm.UC_ARM_REG_PC) & _BASIC
    count = 26 if fpu else 8
    sp = read(arm.UC_ARM_REG_SP)
    words = struct.unpack(f"<{count}I", uc.mem_read(sp, 4 * count))
    for register, word in zip(_FRAME, words, strict=False):
        write(register, word)
    if fpu:
        for register, word in zip(_FPU_FRAME, words[8:], strict=False):
            write(register, word)
        write(arm.UC_ARM_REG_FPSCR, words[24])
    write(arm.UC_ARM_REG_SP, sp + 4 * count + (4 if words[7] & _PADDED else 0))
    write(arm.UC_ARM_REG_XPSR, words[7] & ~_PADDED)
    write(arm.UC_ARM_REG_PC, words[6] | 1)
