"""The page of a drift forensics run."""
