"""Undo a blur: y = M (h ∗ x) + n, solved for x.

M says which samples are known, h is the point spread function (PSF) and n is noise. `convcli.deconvolve`
finds the noise and the strength of the penalty by itself.
"""
