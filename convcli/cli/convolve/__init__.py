"""``convcli convolve``: ``command`` has its help, ``run`` does the work, ``summary`` prints what was done.

Its options are in ``options`` (inputs and outputs) and `convcli.filtering.options` (the rest);
``layer`` refuses those that do not go with a kernel or a bank. ``summary.ConvolveRecord`` is what JSON has.
"""
