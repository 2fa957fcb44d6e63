"""The sensor's settings, as axes of a forensic space."""

from rawdrift.controls.sensor_settings import SensorSettings, with_sensor

__all__ = ["SensorSettings", "with_sensor"]
