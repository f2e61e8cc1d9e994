"""``convcli backends``."""
