"""``convcli unroll``: an image as the matrix of its patches, and back."""

from convcli.cli.command import command
from convcli.cli.loading import loading
from convcli.cli.settings import Messages
from convcli.cli.unroll.options import Patches, PatchesFile, Task


@command(Messages)
def unroll(task: Task, patches: Patches, file: PatchesFile) -> None:
    """Unroll an image to the matrix of its patches (im2col), or fold one back.

    \b
    Examples:
      convcli unroll --shape 3x3 -s 2x2
      convcli unroll --shape 3x3 -k "1 2; 3 4" --layout columns
      convcli unroll photo.png -s 3x3 --stride 2 -o patches.csv
      convcli unroll patches.csv --fold --shape 256x256 -s 3x3 --stride 2 -o p.png
    """
    task.check(file)
    if task.fold:
        with loading():
            from convcli.cli.unroll.fold import fold_back

        fold_back(task, patches, file)
        return
    with loading():
        from convcli.cli.io.matrix_output import MatrixOutput
        from convcli.cli.unroll.run import show_patches

    show_patches(task, patches, MatrixOutput(**vars(file)))
