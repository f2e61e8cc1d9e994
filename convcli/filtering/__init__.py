"""Filters: kernels applied to the planes of images."""
