"""What a training leaves in its run directory beside its lines: states to resume from, network files, pictures (SPEC 11)."""

import time
from pathlib import Path

from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.evaluation.graph import Denoised
from dnnlib.denoising.network.network_file import network_file_name, to_network
from dnnlib.denoising.options import TrainingOptions
from dnnlib.denoising.pictures.scale import Source
from dnnlib.denoising.reports.charts import Transfer
from dnnlib.denoising.reports.run_page import RunPage, Validated
from dnnlib.denoising.training.state import TrainingState, newest_state_bytes, remove_states, settled_sizes
from dnnlib.progress import say
from dnnlib.submission.run_context import RunContext
from dnnlib.submission.run_log import cannot_write
from dnnlib.tflib.network import save_network
from dnnlib.tflib.runtime import fetch_variables
from dnnlib.tflib.summaries import EventWriter


class TrainingOutput:
    """Writes into the run directory, until `close`. Of several workers only the chief has a run; the others write nothing.

    run, events: the run and TensorBoard's events, None where nothing is written.
    saved_images: those seen by the last state.
    """

    def __init__(
        self, run: RunContext | None, configuration: Configuration, fixed_options: dict, session,
        state: TrainingState | None, page: RunPage | None = None, source: Source | None = None,
    ):  # fmt: skip
        """Puts the run directory's files back to where the training goes on from.

        run: an entered one; None: nothing is written.
        configuration: what is trained.
        fixed_options: kept in each state.
        session: has the variables to save.
        state: that the training goes on from, None at the beginning.
        page: of the run; None: none is written.
        source: what the noisy pictures were; None: they are clean.
        """
        self._page = page
        self.run, self._configuration, self._fixed_options, self._session = run, configuration, fixed_options, session
        self._trained_on = None if source is None else source.as_settings()
        self.events = None
        self.saved_images, self._saved_at = 0, time.monotonic()
        if run is not None:
            _make_folder(run.run_dir / "img")
            if state:
                state.restore_files(run.run_dir)
            self.events = EventWriter(run.run_dir)

    def close(self) -> None:
        """Closes TensorBoard's events."""
        if self.events is not None:
            self.events.close()

    def state_due(self, images: int, options: TrainingOptions) -> bool:
        """Returns whether the last state is of so many images or minutes ago that another one should be saved."""
        minutes = (time.monotonic() - self._saved_at) / 60
        return images - self.saved_images >= options.state_interval or minutes >= options.state_minutes

    def save_state(self, images: int, reported: bool, report: dict) -> None:
        """Writes a state to resume from. images, reported, report: see TrainingState."""
        if self.run is None:
            return
        sizes = settled_sizes(self.run.run_dir)
        variables = fetch_variables(self._session, trainable=False)
        TrainingState(images, reported, variables, report, self._fixed_options, sizes).save(self.run.run_dir)
        self.saved_images, self._saved_at = images, time.monotonic()

    def remove_states(self) -> None:
        """Removes the states of a training that has come to its end."""
        if self.run is not None:
            remove_states(self.run.run_dir)

    def save_network(self, n: int | None) -> Path | None:
        """Writes the network file of the step at image n, None: the final one, and returns its path."""
        if self.run is None:
            return None
        path = self.run.run_dir / network_file_name(n, self._configuration.name)
        save_network(to_network(self._configuration, fetch_variables(self._session), self._trained_on), path)
        return path

    @property
    def state_bytes(self) -> int | None:
        """Returns the size of the newest state, None where none is written."""
        return newest_state_bytes(self.run.run_dir) if self.run is not None else None

    def warn(self, text: str) -> None:
        """Prints what is wrong, and has the run's page show it; several workers say it once."""
        if self.run is not None:
            say(text)
        if self._page is not None:
            self._page.notes.append(text)

    def show(self, validated: Validated | None) -> None:
        """Takes what the run's page is to show from now on, None: as before."""
        if self._page is not None and validated is not None:
            self._page.validated = validated

    def show_noise(self, transfer: Transfer) -> None:
        """Takes what the run's page is to show of real noise."""
        if self._page is not None:
            self._page.transfer = transfer

    def write_page(self) -> None:
        """Writes the run's page anew."""
        if self._page is not None:
            self._page.write()

    @property
    def has_page(self) -> bool:
        """Tells whether anybody will look at pictures."""
        return self._page is not None

    def export_picture(self, n: int, denoised: Denoised) -> None:
        """Writes a picture of the validation of the step at image n, and shows it in TensorBoard."""
        if self.run is None:
            return
        denoised.export(self.run.run_dir / "img", n, "jpg")
        what = "noisy, mean, posterior mean, std" + (", clean" if denoised.clean is not None else "")
        self.events.image(n, what, denoised.side_by_side())

    def abort_requested(self) -> bool:
        """Returns whether the user wants the training to end early, and says so."""
        requested = self.run is not None and self.run.abort_requested()
        if requested:
            print("Stopped early, because of abort.txt.")
        return requested


def _make_folder(path: Path) -> None:
    """Makes a folder, if it is missing. Raises UserError where it cannot be made."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
