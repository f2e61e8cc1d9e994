"""``convcli kernels``."""
