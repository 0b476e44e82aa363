"""What people see of a run while it trains: a bar on a terminal, lines in the log elsewhere."""

from collections.abc import Mapping
import datetime
import sys

from absl import logging
import jax
import rich.console
import rich.progress


class Progress:
    """Steps, loss, speed and time left, on process 0: a bar on a terminal, otherwise a line per update in the log.

    What `tell` gets is a line of the log wherever that goes, and stays beside the bar until the next.
    """

    def __init__(self, start_step: int, num_steps: int):
        self._num_steps = num_steps
        self._text = self._told = ""
        self._bar: rich.progress.Progress | None = None
        if jax.process_index() == 0 and sys.stderr.isatty():
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("step {task.completed}/{task.total}"),
                rich.progress.BarColumn(),
                rich.progress.TextColumn("{task.fields[text]}"),
                console=rich.console.Console(stderr=True),
            )
            self._task = self._bar.add_task("train", total=num_steps, completed=start_step, text="")
            self._bar.start()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Shows a line of metrics."""
        text = "no step with a finite loss"
        if "train/loss" in values:
            text = f"loss {values['train/loss']:.4f}  accuracy {values['train/accuracy']:.3f}"
        if "train/seconds_per_step" in values:
            left_s = values["train/seconds_per_step"] * (self._num_steps - step)
            text += f"  {values['train/seconds_per_step']:.3g} s a step"
            text += f"  {values['train/tokens_per_second']:,.0f} tokens/s"
            text += _shares(values)
            text += f"  {datetime.timedelta(seconds=round(left_s))} left"
        self._text = text
        if self._bar is None:
            logging.info("step %d/%d  %s", step, self._num_steps, text)
        self._draw(step)

    def tell(self, step: int, text: str) -> None:
        """Shows what was found out after a step, an evaluation for example."""
        logging.info("step %d/%d  %s", step, self._num_steps, text)
        self._told = f"{text} (step {step})"
        self._draw(step)

    def _draw(self, step: int) -> None:
        if self._bar is not None:
            text = "  ".join(part for part in (self._text, self._told) if part)
            self._bar.update(self._task, completed=step, text=text)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()


def _shares(values: Mapping[str, float]) -> str:
    """How much of the time and of the peak is used, where it is known."""
    waiting = values["train/data_wait_seconds_per_step"] / values["train/seconds_per_step"]
    text = f"  {100 * waiting:.0f} % data wait" if waiting >= 0.005 else ""
    if "train/model_flops_utilisation" in values:
        text += f"  {100 * values['train/model_flops_utilisation']:.1f} % MFU"
    return text
