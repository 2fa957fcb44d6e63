"""The sensor: from scene light to a raw mosaic, with a module for each stage.

sensor = Sensor(camera); mosaic = sensor(irradiance, generator)
darker = dim(mosaic, camera, intensity=0.25, generator=generator)
"""

from rawdrift.sensor.optics import GaussianPSF
from rawdrift.sensor.sensor import Sensor
from rawdrift.sensor.thinning import dim

__all__ = ["GaussianPSF", "Sensor", "dim"]
