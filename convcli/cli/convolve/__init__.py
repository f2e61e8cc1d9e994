"""``convcli convolve``: ``command`` has the options, ``run`` does the work, ``summary`` prints what was done.

``layer`` reads the options of a bank of kernels; ``record`` is what JSON and the summary know of an input.
"""
