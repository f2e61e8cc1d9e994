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
    from convcli.cli.bench import run
    from convcli.cli.bench.files import Comparison, Outputs

    if options.calibrate:
        run.calibrate(options)
        return
    outputs = Outputs(options)
    outputs.check()
    how = run.schedule(options)
    against = Comparison.parse(options.compare, options.fail_if, how.max_runs)
    what, who = run.scan(options), run.contestants(options)
    run.run(options, what, who, how, outputs, against)
