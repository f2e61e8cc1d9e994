"""``convcli unroll``."""
