"""``convcli unroll``: ``command`` (help), ``options``, ``run``, ``fold``, ``summary`` (printing)."""
