"""The matrices that convolution is, known by their rule: T · vec(x) and im2col, of any size.

- ``footprint``: along one axis, the sample that each output reads through each cell; all else stands on it
- ``convolution_matrix``: T (``@``, ``.T``, ``.shape``, ``.tocsr()``, ``.rows()``); ``build`` describes it
- ``im2col``, ``col2im``: patches as a matrix, and added up again; ``unroll`` is their public face
- ``value_counts``: the entries of T, counted without building it
- ``matrix``: the protocol of everything that is written and shown, names and arrays included
- ``files``: one file per format; ``show``: facts, steps, previews and pictures

May import ``arrays``, ``images`` (pictures), ``system`` and the ground below.
"""
