"""The precision that a network computes in, and whether the processor has it."""

from functools import cache

import torch

from rawdrift import progress


def resolve_precision(name: str) -> str:
    """Return "bf16" or "32": "auto" is bfloat16 if the processor computes in it."""
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "32"
    return "bf16" if _in_bfloat16() else "32"


def check_precision(name: str, device: torch.device | str) -> None:
    """Say, once, that bfloat16 was asked for where it costs time instead of saving it."""
    if name == "bf16" and torch.device(device).type == "cpu" and not _in_bfloat16():
        _say_slow()


@cache
def _say_slow() -> None:
    progress.say(
        "check: this processor has no instructions for bfloat16, in which networks take several "
        "times as long here as in float32; choose precision 32"
    )


def _in_bfloat16() -> bool:
    cpu = torch.cpu.get_capabilities()
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))
