"""``convcli deconvolve``."""
