"""The animations of the pages on selection and on mathematics.

python docs/animations.py [folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import bcd_implicit as bi
from bcd_implicit import plots

LOOPS = 3
# Frames for which the last one is held.
HOLD = 8


class EndingWriter(PillowWriter):
    """A GIF that stops after some loops, rather than moving for ever beside a text that is being read."""

    def finish(self) -> None:
        """Write the frames that were grabbed."""
        # Few colours: line drawings have no more, and files are a third as large.
        frames = [frame.convert("RGB").quantize(32) for frame in self._frames + [self._frames[-1]] * HOLD]
        milliseconds = round(1000 / self.fps)
        # A GIF's number says how often it is repeated.
        options = {"append_images": frames[1:], "duration": milliseconds, "loop": LOOPS - 1}
        frames[0].save(self.outfile, save_all=True, optimize=True, **options)


def path_of_diabetes() -> FuncAnimation:
    """Ten measurements of 442 patients, and which of them the path drops first."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    U = StandardScaler().set_output(transform="pandas").fit_transform(X)
    problem = bi.TrainingProblem(U, (y - y.mean()) / y.std(), n_hidden=5, pass_through=False)
    path = bi.kappa_path(problem, random_state=0)
    _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    return plots.animate_path(path, path.select(random_state=0), ax=ax)


def cobweb() -> FuncAnimation:
    """One hidden feature that turns the sign of the error at each step, with nu = 0.8."""
    model = bi.ImplicitModel([[-0.8]], [[1.0]], None, [[1.0]])
    _, ax = plt.subplots(figsize=(3.6, 3.6), layout="constrained")
    return plots.animate_cobweb(model, 2.5, ax, n_steps=14)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for name, make, fps in (("path", path_of_diabetes, 3), ("cobweb", cobweb, 4)):
        file = folder / f"{name}.gif"
        make().save(file, EndingWriter(fps), dpi=110)
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
