"""``convcli unroll``.

``command`` is its help and its groups of options, which ``options`` declares; ``run`` makes and writes the
patches, ``fold`` the image of them; ``summary`` prints facts, the matrix and its product.
"""
