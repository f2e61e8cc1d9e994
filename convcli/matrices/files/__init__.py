"""Matrices in files, one file per format."""
