"""Statistics of the drift controls: measures, intervals, tests. No torch, no files."""
