"""The limit of locked memory, where root may not raise it: libvirt raises it for VFIO, which pins a VM's memory.

Nothing is pinned for a card that is played. So where the machine denies root CAP_SYS_RESOURCE, as some containers and
microVMs do, the system calls that set this one limit do nothing and report success: a seccomp filter answers them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

from lab.hypervisor.needs import HypervisorError

_PR_SET_SECCOMP, _FILTER = 22, 2
_ARCH_X86_64 = 0xC000003E
_SETRLIMIT, _PRLIMIT64 = 160, 302  # numbers of the system calls on x86-64
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000  # RET_ERRNO with errno 0
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data
_ARGUMENT = (16, 24, 32)  # the low halves of the arguments; little-endian


def let_it_be_raised() -> None:
    """Make raising the limit succeed for this process and its children, for real or by the filter.

    Raises HypervisorError where neither can be.
    """
    if _may_raise():
        return
    program = b"".join(struct.pack("<HBBI", *line) for line in _PROGRAM)
    lines = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(_PROGRAM), ctypes.addressof(lines))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _FILTER, header) != 0:
        why = os.strerror(ctypes.get_errno())
        raise HypervisorError(f"this root may neither raise the limit of locked memory nor install a filter: {why}")


def _may_raise() -> bool:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if before[1] == resource.RLIM_INFINITY:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (before[0], resource.RLIM_INFINITY))
    except (OSError, ValueError):
        return False
    resource.setrlimit(resource.RLIMIT_MEMLOCK, before)
    return True


_PROGRAM = [
    # operation, lines to skip where equal, and where not, operand
    (_LOAD, 0, 0, _ARCH),
    (_JUMP_IF_EQUAL, 0, 9, _ARCH_X86_64),
    (_LOAD, 0, 0, _NUMBER),
    (_JUMP_IF_EQUAL, 5, 0, _SETRLIMIT),
    (_JUMP_IF_EQUAL, 0, 6, _PRLIMIT64),
    (_LOAD, 0, 0, _ARGUMENT[2]),  # where the new limit is; nowhere if the limit is only read
    (_JUMP_IF_EQUAL, 4, 0, 0),
    (_LOAD, 0, 0, _ARGUMENT[1]),
    (_JUMP_IF_EQUAL, 3, 2, resource.RLIMIT_MEMLOCK),
    (_LOAD, 0, 0, _ARGUMENT[0]),
    (_JUMP_IF_EQUAL, 1, 0, resource.RLIMIT_MEMLOCK),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _SUCCEED),
]
