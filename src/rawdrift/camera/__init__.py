"""Cameras and their raw files."""
