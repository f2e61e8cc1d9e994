"""The system: what the process may use, and how it reads and writes.

`files` opens files with errors in words, and writes them whole or not at all; `threads` is the one thread
pool; `resources` tells processors and memory, by affinity and control group. All three withstand signals,
full disks and foreign limits, which their tests provoke. The room may import `errors` and `text`.
"""
