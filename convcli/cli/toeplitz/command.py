"""``convcli toeplitz``: the matrix of a convolution."""

from convcli.cli.command import command
from convcli.cli.loading import loading
from convcli.cli.matrix_options import MatrixFile
from convcli.cli.settings import Messages
from convcli.cli.toeplitz.options import Rule, Task


@command(Messages)
def toeplitz(task: Task, rule: Rule, file: MatrixFile) -> None:
    """Show or write the matrix T with T · vec(x) = vec(x ∗ k).

    \b
    Examples:
      convcli toeplitz -k "1 2; 3 4" --shape 3x3 --mode valid --symbolic
      convcli toeplitz -k "10 20; 30 40" --shape 2x3 --steps
      convcli toeplitz -k gaussian:1 --shape 16x16 --border wrap
      convcli toeplitz -k sobel-x --shape 64x64 -o t.npz
      convcli toeplitz -k box:3 photo.png --mode same -o - --sparse-csv | head
    """
    task.check(rule, file.output)
    with loading():
        from convcli.cli.io.matrix_output import MatrixOutput
        from convcli.cli.toeplitz.run import run

    run(task, rule, MatrixOutput(**vars(file)))
