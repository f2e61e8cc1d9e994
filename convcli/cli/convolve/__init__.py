"""``convcli convolve``: ``command`` has its help, ``run`` does the work, ``summary`` prints what was done.

Its options are in ``options`` (inputs and outputs, and which go with a kernel or a bank of kernels) and
`convcli.filtering.options` (the rest). ``summary.ConvolveRecord`` is what JSON has.
"""
