"""Benchmarks: from cases and contestants to times, and from times to what they mean.

- `cases` says what varies, and makes the task of each case. `contestants` says what a contestant can be asked
  to do: `backends` are ours, `library` and `program` others. A new peer is a file in ``peers/``.
- `run_case` checks and times all contestants on a task, in turns (`timer`), and measures `memory`.
- `results` and `statistics` say what a time, a ratio and a report are.
- `export` (JSON, CSV, Markdown), `import_json`, `plot` (by the arithmetic of `curves`) and `compare` are for
  those who read results later.
- `calibration` measures the rates of ``engine/rates``, by which ``auto`` chooses.

Imports the rooms up to ``engine``.
"""
