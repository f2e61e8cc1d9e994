"""The machine: files, threads, memory and processors."""
