"""Undo a blur: y = M (h ∗ x) + n, solved for x.

M says which samples are known, h is the point spread function (PSF) and n is noise. `convcli.deconvolve`
estimates the noise and the balance of the penalty if they are not given. To understand or change

- `convcli.deconvolve`, step by step: ``restoration``; its checks: ``checks``; CPU or GPU: ``device``;
- a method: ``methods/``. A new one is a new file there that defines the names in ``method.Method``;
- when the iterations end: ``iteration.Stopping``. A new rule is a field and a line of `ends` there, an
  argument of `convcli.deconvolve` (in ``restoration``, where `Stopping` is made) and a field of
  ``cli/deconvolve/options``; rules are asked between whole iterations;
- the blur as a linear map on a grid: ``blur``; outside the photo: ``borders``;
- the solver of wiener, tikhonov, tv, hyperlaplacian and blind: ``least_squares``, with ``balance`` (how
  strong the penalty is) and ``proximal`` (shrinkage); estimates and measures: ``noise``, ``quality``.

Imports the rooms up to ``engine``; nothing of ``layers``, ``filtering`` and the command line.
"""
