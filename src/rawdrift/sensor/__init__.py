"""The sensor: scene light becomes a raw mosaic.

sensor = Sensor(camera); mosaic = sensor(irradiance, generator)
"""

from rawdrift.sensor.sensor import Sensor

__all__ = ["Sensor"]
