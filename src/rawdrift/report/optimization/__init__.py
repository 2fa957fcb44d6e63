"""The page of a drift optimization run."""
