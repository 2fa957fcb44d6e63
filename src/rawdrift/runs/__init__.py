"""What an experiment is, and where its results are kept. No torch, no imaging."""
