"""Files of figures that benchmarks leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bcd_implicit.support.files import write_atomically


def write_results(path: str | Path, found: Any) -> None:
    """Figures as JSON, all of them or none: what stood there stays until the new file is whole."""
    write_atomically(path, lambda file: file.write((json.dumps(found, indent=1) + "\n").encode()))


def read_results(path: Path | None) -> Any:
    """Figures of earlier runs, or None where there are none."""
    return json.loads(path.read_text()) if path and path.exists() else None
