"""The same algorithms on CuPy arrays."""

SUMMARY = "the same algorithms on a GPU"
USES_BLAS = False
RATES: dict[str, float] = {}
IN_PASSES = True


def unavailable() -> str:
    """Nothing here computes yet."""
    return "not built yet"
