"""Arrays: where they lie, what surrounds them, and the loops that go over them.

``library`` tells NumPy's arrays from CuPy's; ``samples`` turns values that users give into arrays;
``borders`` says which sample stands for one outside (a new border is an entry of ``spec.BORDERS`` and its
rule there); ``gathering`` fetches windows of a padded image; ``native`` calls the compiled loops of
``_native.c``; ``transforms`` calls SciPy's FFT; ``npy`` and ``npz`` read and write such
files; ``device/`` is the GPU. Imports ``errors``, ``text``, ``spec`` and ``system``.
"""
