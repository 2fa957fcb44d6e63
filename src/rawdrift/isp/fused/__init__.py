"""The fused engines: the numbers of the steps, many times faster. See README.md.

The steps stay the one definition: here is only how their numbers are computed together. Every step,
mosaic or situation that isn't known here goes back to them.
"""
