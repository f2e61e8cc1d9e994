"""PGM: the gray sort of PPM, which Pillow and `recognise` take for one with it."""

from convcli.images.formats import Format

FORMAT = Format("PGM", (".pgm",), modes="L I;16", rank=8, pillow="Ppm")
