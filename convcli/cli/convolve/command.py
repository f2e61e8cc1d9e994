"""``convcli convolve``: filter images and arrays."""

from convcli.cli.command import command
from convcli.cli.convolve.options import ConvolveInOut, layer_of
from convcli.cli.loading import loading
from convcli.cli.options import FileOptions
from convcli.cli.settings import Messages
from convcli.filtering.options import BankOptions, Filter


@command(Messages)
def convolve(inout: ConvolveInOut, how: Filter, bank: BankOptions, files: FileOptions) -> int:
    """Filter images with a kernel.

    \b
    Examples:
      convcli convolve photo.jpg -k gaussian:3 -o soft.jpg
      convcli convolve in.png -k sobel-x -k sobel-y --combine magnitude -o out.png
      convcli convolve *.jpg -k "0 -1 0; -1 5 -1; 0 -1 0" -o out/{stem}_sharp{ext}
      cat in.png | convcli convolve - -k box:9 -o - --format png > out.png
      convcli convolve x.npy -k k.npy --mode full -b fft -o y.npy
      convcli convolve maps.npy -k bank.npy --padding 1 --stride 2 -o smaller.npy
    """
    with loading():
        from convcli.cli import report, settings
        from convcli.cli.convolve.run import Batch
        from convcli.cli.io.files import Files
        from convcli.kernels import parse_kernel

    kernels = [parse_kernel(text) for text in inout.kernel]
    layer = layer_of(kernels, how, bank)
    batch = Batch(inout, kernels, how, Files(**vars(files)), layer)
    try:
        status = batch.run()
    except Exception:
        if inout.as_json and batch.records:  # the only file failed, and its record says why
            batch.print_json()
        raise
    if layer is not None and how.op is None and not settings.quiet:
        what = "the transpose of correlation" if layer.transposed else "correlation"
        report.note(
            f"the bank {kernels[0].name} is applied as a layer: {what}, as in neural networks; "
            "--op convolve turns its kernels round"
        )
    batch.summarize()
    return status
