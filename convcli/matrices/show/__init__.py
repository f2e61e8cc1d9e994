"""Matrices for people.

``facts`` (structure, rank, eigenvalues), ``steps`` (the construction as it is taught), ``preview`` (some rows
and columns as text), ``picture`` (all of it as an image) and ``palette`` (the colours of both). May import
``matrices`` but for its ``files``, and ``images``.
"""
