"""``convcli toeplitz``.

``command`` is its help and its groups of options, which ``options`` declares; ``run`` describes, checks and
writes the matrix; ``summary`` prints facts, steps and comparisons.
"""
