"""``convcli backends``: what can run here, and why not."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from convcli.cli.command import command
from convcli.cli.options import OneJson


@dataclass(eq=False, repr=False)
class BackendsOptions:
    """How to list."""

    as_json: OneJson = False


@command(needs_arguments=False)
def backends(options: BackendsOptions) -> None:
    """List the backends, and what they run on.

    \b
    Example:
      convcli backends
    """
    from convcli import backends as all_backends
    from convcli.cli import report

    found: list[dict[str, str | None]] = []
    for name in all_backends.listed():
        module = all_backends.load(name)
        found.append({"name": name, "summary": module.SUMMARY, "unavailable": module.unavailable()})
    facts = machine_facts()
    if options.as_json:
        print(json.dumps({"backends": found, "machine": facts}))
        return
    rows = [
        (str(f["name"]), "missing" if f["unavailable"] else "ready", f["unavailable"] or str(f["summary"]))
        for f in found
    ]
    report.table(("backend", "state", "what it does, or why it cannot run"), rows)
    print()
    report.table(("", ""), [(k.replace("_", " "), str(v)) for k, v in facts.items()], file=sys.stdout)


def machine_facts() -> dict[str, Any]:
    """Versions and hardware that the backends depend on."""
    import platform
    from importlib.metadata import version

    import numpy as np

    from convcli.arrays import device, native
    from convcli.engine import rates as profile
    from convcli.system.resources import available_memory, cpu_count
    from convcli.version import __version__

    config: Any = np.show_config(mode="dicts")
    simd = config.get("SIMD Extensions", {})
    blas = config.get("Build Dependencies", {}).get("blas", {})
    memory = available_memory()
    assumed = "" if device.unavailable() or profile.current() else "; the rates of the GPU are assumed"
    return {
        "convcli": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "direct": native.describe(),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "simd": (simd.get("found") or simd.get("baseline") or ["unknown"])[-1],
        "cpu": profile.cpu_name(),
        "threads": cpu_count(),
        "memory": f"{memory / 1e9:.1f} GB available" if memory else "unknown",
        "gpu": device.describe(),
        "calibration": profile.describe() + assumed,
    }
