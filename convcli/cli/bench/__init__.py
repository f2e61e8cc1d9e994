"""``convcli bench``.

``command`` is its help, ``options`` declares its options; ``run`` times, ``files`` writes documents,
``summary`` prints tables.
"""
