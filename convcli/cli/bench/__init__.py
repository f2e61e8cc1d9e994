"""``convcli bench``."""
