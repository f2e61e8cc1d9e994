"""Benchmarks one can believe: what is timed, how, and what the times mean.

`results` says what was measured, `statistics` what it means, `timer` how it is measured; `peers` are
other people's convolutions; `export`, `plot` and `compare` are for those who read results later.
"""
