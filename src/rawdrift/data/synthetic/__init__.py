"""Synthetic sets: scenes that are drawn from a seed, and what a camera's sensor makes of them."""
