"""The fused engine on a GPU: Triton kernels, with planes in memory between them.

mosaic -> corrected mosaic [-> Menon's stages -> colors] -> Y -> sharpened Y -> view
"""

from rawdrift.isp.fused.gpu.engine import develop

__all__ = ["develop"]
