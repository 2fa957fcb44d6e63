"""The forensic signature: a file that says for which cameras a model has been shown to work."""

from rawdrift.controls.evidence.check import Outside, Verdict, check, describe
from rawdrift.controls.evidence.signature import VERSION, Signature

__all__ = ["VERSION", "Outside", "Signature", "Verdict", "check", "describe"]
