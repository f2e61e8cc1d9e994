"""``convcli deconvolve``: undo a blur."""

from convcli.cli.command import command
from convcli.cli.deconvolve.options import DeconvolveInOut, DeconvolveOptions
from convcli.cli.options import FileOptions
from convcli.cli.settings import Messages


@command(Messages)
def deconvolve(inout: DeconvolveInOut, options: DeconvolveOptions, files: FileOptions) -> int:
    """Undo a blur.

    Noise and strength are found in the image unless they are given, and what lies outside the
    photo is restored with it, so that no frame rings.

    \b
    Examples:
      convcli deconvolve blurred.jpg -k motion:15,30 -o sharp.jpg
      convcli deconvolve soft.png -k gaussian:1.6 -o out.png --reference photo.png
      convcli deconvolve a.png -k disk:4 --method rl -n 50 --accelerate -o b.png
      convcli deconvolve sky.npy -k star.png --method clean --noise 3 -o out.npy
      convcli deconvolve a.png -k disk:2 --method blind --save-psf p.npy -o b.png
    """
    from convcli.cli.deconvolve.run import DeconvolveRun
    from convcli.cli.io.files import Files

    run = DeconvolveRun(inout, options, Files(**vars(files)))
    try:
        return run.run()
    finally:
        run.tell()
