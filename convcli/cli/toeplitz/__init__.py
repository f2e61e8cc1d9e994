"""``convcli toeplitz``: ``command`` (help), ``options``, ``run`` (the work) and ``summary`` (printing)."""
