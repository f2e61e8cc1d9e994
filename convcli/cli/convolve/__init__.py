"""``convcli convolve``."""
