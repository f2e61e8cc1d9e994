"""``convcli shape``."""
