"""``convcli deconvolve``: ``options``, help in ``command``, work on files in ``run``, tables in ``summary``.

A new option is a field of ``options.DeconvolveOptions`` and an argument of `convcli.deconvolve`; a new fact
in tables and JSON documents is a field of ``summary.DeconvolveRecord``.
"""
