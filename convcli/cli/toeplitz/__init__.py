"""``convcli toeplitz``."""
