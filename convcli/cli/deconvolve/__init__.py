"""``convcli deconvolve``: options and help in ``command``, work on files in ``run``, tables in ``summary``.

A new option is declared in ``command``, is a field of ``run.DeconvolveOptions`` and an argument of
`convcli.deconvolve`; a new fact in tables and JSON documents is a field of ``summary.DeconvolveRecord``.
"""
