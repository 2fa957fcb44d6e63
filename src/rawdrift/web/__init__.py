"""A page to explore raw files with, and to follow runs: `rawdrift web`.

- `server`: the addresses, what is let in, and what is sent with each answer.
- `folder`: the one folder that is served. `runs`: the runs in it.
- `explore`: what the page asks of raw files. `frames`, `sliders`, `answers`: what that needs.
"""
