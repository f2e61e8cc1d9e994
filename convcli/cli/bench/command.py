"""``convcli bench``: time backends against each other."""

from convcli.cli.bench.options import BenchOptions
from convcli.cli.command import command
from convcli.cli.settings import Messages


@command(Messages, needs_arguments=False)
def bench(options: BenchOptions) -> None:
    """Time backends against each other, and against other libraries.

    They run in turns (A B C A B C ...), each after its result was compared with a reference in
    float64. The image is filtered to its own size, with zeros outside, as all of them can.

    \b
    Examples:
      convcli bench photo.jpg -k gaussian:3 -r 5
      convcli bench --sizes 64,128 --kernel-sizes 3:9:2 --min-time 0.01
      convcli bench --size 256 -k sobel-x --peers -r 5 --sort median
      convcli bench --size 64 -r 9 --export-json old.json
      convcli bench --size 64 -r 9 --compare old.json --fail-if median:900%
    """
    from convcli.cli.bench.run import calibrate, run

    (calibrate if options.calibrate else run)(options)
