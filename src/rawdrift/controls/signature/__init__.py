"""The forensic signature: a file that says for which cameras a model has been shown to work."""

from rawdrift.controls.signature.check import Outside, Verdict, check
from rawdrift.controls.signature.document import VERSION, Signature

__all__ = ["VERSION", "Outside", "Signature", "Verdict", "check"]
