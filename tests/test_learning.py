"""`--learn`: what is found of noisy pictures, what follows from it, and the steps, which can be interrupted."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from material import smooth_picture
from PIL import Image
from programs import listening_to_ctrl_c

import selfsupervised_denoising
from dnnlib.denoising.learning import learn as learning
from dnnlib.denoising.learning import plan as planning
from dnnlib.denoising.learning import steps
from dnnlib.denoising.learning.look import Facts, look
from dnnlib.denoising.learning.plan import CROP, Plan, plan
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError

WHITE = Facts(40, 40 * 512 * 512, colours=3, side=512, sigma=12.0, hole=1, model="gauss", why_model="it fits")
NETWORK = "gauss5_50-blindspot-sigma_per_image"


def noise(sigma: float, shape, seed: int, shared: bool = False) -> np.ndarray:
    """White noise, or such of which neighbours have a share, (1, 2, 1) in both directions; of that std."""
    values = np.random.default_rng(seed).normal(size=shape)
    for axis in (0, 1) if shared else ():
        values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / np.sqrt(6)
    return sigma * values


def write_pictures(folder: Path, count: int = 3, side: int = 160, sigma: float = 12, shared=False, grey=False) -> list[str]:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        clean = smooth_picture(side, side, seed=i) * 0.7 + 38
        noisy = np.clip(np.rint(clean + noise(sigma, clean.shape, i, shared)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy[:, :, 0] if grey else noisy).save(folder / f"{i}.png")
    return [str(path) for path in sorted(folder.iterdir())]


# --- what is found


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_found(tmp_path, grey, shared):
    facts = look(write_pictures(tmp_path / "in", shared=shared, grey=grey), Scale())
    assert facts[:4] == (3, 3 * 160 * 160, 1 if grey else 3, 160) and facts.hole == (3 if shared else 1)
    assert shared or facts.model == "gauss"
    # A sixth more is seen at two pixels of the shared noise; of the white one each crop tells some 2 %.
    assert facts.sigma == pytest.approx(12 * (7 / 6 if shared else 1), rel=0.1)


def test_what_cannot_be_learned_from(tmp_path):
    small = write_pictures(tmp_path / "small", 1, side=100)
    with pytest.raises(UserError, match=r"--learn: .*0.png is 100 x 100, and .* must have 128 .* denoise without --learn"):
        look(small, Scale())
    one, *_ = write_pictures(tmp_path / "same", 1)
    for i in (1, 2):
        (tmp_path / "same" / f"{i}.png").write_bytes(Path(one).read_bytes())
    with pytest.raises(UserError, match="--learn: all pictures are the same"):
        look([str(path) for path in sorted((tmp_path / "same").iterdir())], Scale())
    flat = write_pictures(tmp_path / "clean", 2, sigma=0)
    with pytest.raises(UserError, match="--learn: nothing to learn, .* below 0.3"):
        look(flat, Scale())
    Image.fromarray(np.zeros([160, 160], np.uint8)).save(tmp_path / "clean" / "z.png")
    with pytest.raises(UserError, match="--learn: .* is RGB and .* is grey"):
        look([*flat, str(tmp_path / "clean" / "z.png")], Scale())


# --- what follows


def test_white_noise_is_trained_on():
    found = plan(WHITE, NETWORK, 1.0, 60)
    assert found.configuration == "real_gauss-blindspot-sigma_global" and found.hole_size == 1 and found.crop == CROP
    # 54 of 60 minutes, less 640 crops' worth of denoising.
    assert found.images == 0.9 * 3600 - 640
    assert {choice.what for choice in found.choices} == {"noise", "start", "blind spot", "noise model", "training"}
    mono = plan(WHITE._replace(colours=1, model="curve"), NETWORK, 0.5, 60)
    assert mono.configuration == "real_curve-blindspot-sigma_global-mono"


def test_shared_noise_is_not():
    found = plan(WHITE._replace(hole=5), NETWORK, 0.1, 60)
    assert (found.configuration, found.images, found.hole_size) == (None, 0, 3)
    assert "neighbours share the noise" in found.choices[2].why
    assert plan(WHITE._replace(hole="9x1"), NETWORK, 0.1, 60).hole_size == "3x1"


def test_many_pictures_of_shared_noise_are_distilled_from():
    """As many crops as there is time for, besides denoising all of it twice; of few pictures none."""
    shared = WHITE._replace(hole=3)
    assert plan(shared, NETWORK, 0.1, 60).distil == planning.MOST_CROPS
    # 54 of 60 minutes, less 640 crops' worth of pixels 3.5 times.
    assert plan(shared, NETWORK, 0.5, 60).distil == (0.9 * 3600 - 640 * 3.5 * 0.5) / 0.5 - 40 == 4200
    late = plan(shared, NETWORK, 2.0, 60)
    assert late.distil == 0 and "no time for 4,000 crops" in late.choices[-1].why
    few = plan(shared._replace(files=19), NETWORK, 0.1, 60)
    assert few.distil == 0 and "needs 20 pictures" in few.choices[-1].why
    assert plan(WHITE, NETWORK, 0.1, 60).distil == 0


def test_no_time_and_few_pictures():
    late = plan(WHITE, NETWORK, 60.0, 60)
    assert late.configuration is None and late.hole_size == 1 and "no time" in late.choices[-1].why
    few = plan(WHITE._replace(files=6, pixels=6 * 512 * 512), NETWORK, 0.01, 600)
    assert few.images == 100 * 5 and "by heart" in few.choices[-1].why
    one_large = plan(WHITE._replace(files=1, pixels=4096 * 4096), NETWORK, 0.01, 600)
    assert one_large.images == 100 * 16


FACTS = st.builds(
    Facts, st.integers(1, 10**5), st.integers(2**14, 10**11), st.sampled_from([1, 3]), st.integers(128, 10**5),
    st.floats(0.3, 200), st.sampled_from([1, 3, 5, 9, "1x5", "9x3"]), st.just("curve"), st.just(""),
)  # fmt: skip


@given(FACTS, st.floats(1e-4, 1e3), st.floats(1e-3, 1e5))
@settings(deadline=None)
def test_plans_can_be_carried_out(facts, seconds, minutes):
    found = plan(facts, NETWORK, seconds, minutes)
    assert found.crop % 32 == 0 and 32 <= found.crop <= CROP and found.crop <= facts.side
    assert (found.images >= planning.FEWEST_IMAGES) == (found.configuration is not None)
    assert found.distil == 0 or planning.FEWEST_CROPS <= found.distil <= planning.MOST_CROPS and found.hole_size != 1
    assert found.distil * seconds <= 60 * minutes + 50 * seconds
    assert found.images * seconds * (found.crop / CROP) ** 2 <= 60 * minutes + 50 * seconds  # rounded to hundreds


# --- the steps


def scripts(folder: Path, monkeypatch, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / steps.PROGRAM).write_text(text)
    monkeypatch.setattr(steps, "ROOT", folder)


def test_a_step_that_fails(tmp_path, monkeypatch, capfd):
    scripts(tmp_path, monkeypatch, "import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    done = steps.Steps()
    with pytest.raises(UserError, match=f"step {steps.PROGRAM} ended with status 3"):
        done.run(steps.PROGRAM, "--out=a b", "--white=9")
    said, shown = capfd.readouterr().out.splitlines()
    assert said == f"$ {done.commands[0]}" and shown == "['--out=a b', '--white=9']"
    assert shlex.split(done.commands[0])[2:] == ["--out=a b", "--white=9"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_step_once_and_it_ends_in_order(tmp_path, number):
    """The child hears the same signal, and is waited for."""
    (tmp_path / steps.PROGRAM).write_text(
        "import signal, sys, time\n"
        "heard = []\n"
        "for n in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(n, lambda n, _: heard.append(n))\n"
        "print('ready', flush=True)\n"
        "while not heard:\n    time.sleep(0.01)\n"
        "time.sleep(0.3)\nprint('heard', *map(int, heard), flush=True)\nsys.exit(130)\n"
    )
    parent = (
        "from pathlib import Path\nfrom dnnlib.denoising.learning import steps\nfrom dnnlib.errors import run_script\n"
        f"steps.ROOT = Path({str(tmp_path)!r})\nrun_script(lambda: steps.Steps().run(steps.PROGRAM))\n"
    )
    root = Path(__file__).resolve().parent.parent
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with listening_to_ctrl_c(), subprocess.Popen([sys.executable, "-c", parent], cwd=root, **pipes) as p:
        try:
            assert p.stdout.readline().startswith("$ python") and p.stdout.readline() == "ready\n"
            os.kill(p.pid, number)
            out, err = p.communicate(timeout=60)
        finally:
            p.kill()
    assert out == f"heard {int(number)}\n" and err == "Interrupted.\n"
    assert p.returncode == 128 + number


def test_a_training_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    scripts(tmp_path, monkeypatch, "import time, pathlib\nend = pathlib.Path('runs/00001-b/abort.txt')\n"
                                   "while not end.exists():\n    time.sleep(0.01)\n")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("00000-a", "00001-b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    started = time.monotonic()
    steps.Steps().run(steps.PROGRAM, at_most=0.3, end=Path("runs"))
    assert time.monotonic() - started >= 0.3 and not (tmp_path / "runs" / "00000-a" / "abort.txt").exists()


# --- all of it


def call(monkeypatch, arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


@pytest.mark.parametrize(("arguments", "words"), [
    ("--learn in", "--out is missing"), ("--learn in --out o --minutes 0", "--minutes 0"),
    ("--learn none --out o", "--learn none: there is no such file or folder"), ("--learn empty --out o", "no picture in it"),
    ("--learn in --out in", "is in the folder of the"), ("--learn in --out in/o", "is in the folder of the"),
    ("--learn in --out o --sigma 3", "--sigma is for --denoise, not for --learn"),
    ("--learn in --out o --white 0", "--white 0"),
    ("--denoise in --out o --minutes 3", "--minutes is for --learn"),
])  # fmt: skip
def test_wrong_use(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "in", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        call(monkeypatch, arguments)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "empty"}


def test_shared_noise_from_end_to_end(tmp_path, monkeypatch, capfd):
    """Nothing is trained; the commands that are printed are the ones that were run, and do the same again."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "in", 2, side=128, shared=True)
    call(monkeypatch, "--learn in --out out")
    printed = capfd.readouterr().out.splitlines()
    (command,) = (line.removeprefix("$ ") for line in printed if line.startswith("$ "))
    assert "--hole-size=3" in command and not (tmp_path / "out" / "runs").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "neighbours share the noise" in page and "--hole-size=3" in page and page.count("data:image/png") == 2
    first = (tmp_path / "out" / "denoised" / "0.png").read_bytes()
    clean = smooth_picture(128, 128, seed=0) * 0.7 + 38
    pictures = (np.asarray(Image.open(tmp_path / path)) for path in ("in/0.png", "out/denoised/0.png"))
    before, after = (picture.astype(float) - clean for picture in pictures)
    assert np.mean(after**2) < np.mean(before**2) / 2
    subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True)
    assert (tmp_path / "out" / "denoised" / "0.png").read_bytes() == first


def test_a_broken_file_is_left_out(tmp_path, monkeypatch, capfd):
    """All else is done, and the status is 1."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "in", 2, side=128, shared=True)
    (tmp_path / "in" / "z.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(UserError, match="--learn: the step selfsupervised_denoising.py ended with status 1"):
        call(monkeypatch, "--learn in --out out")
    assert "skipped: cannot read in/z.png" in capfd.readouterr().out
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "denoised" / "0.png").exists()


def test_a_step_that_makes_nothing_ends_it(tmp_path, monkeypatch):
    scripts(tmp_path, monkeypatch, "import sys\nsys.exit(1)\n")
    done, made = steps.Steps(), tmp_path / "made"
    for there in (False, True):
        made.mkdir(exist_ok=True)
        if there:
            (made / "a.png").touch()
            done.denoise(made, "--x")
        else:
            with pytest.raises(UserError, match="ended with status 1"):
                done.denoise(made, "--x")
        assert (done.left_out is not None) == there


def test_shared_noise_of_many_pictures(tmp_path, monkeypatch, capfd):
    """A plain network learns from what the shipped one makes of them, and its results are what counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "FEWEST_PICTURES", 2)
    monkeypatch.setattr(learning, "FEWEST_PICTURES", 2)
    monkeypatch.setattr(planning, "FEWEST_CROPS", 1)
    monkeypatch.setattr(planning, "MOST_CROPS", 200)
    monkeypatch.setattr(learning, "_measured", lambda *_: 0.1)
    write_pictures(tmp_path / "in", 2, side=128, shared=True, sigma=25)
    call(monkeypatch, "--learn in --out out")
    printed = capfd.readouterr().out
    first, second = (line for line in printed.splitlines() if line.startswith("$ "))
    assert "--hole-size=3 --distill=200 --save-network=out/fast.pickle" in first and "--hole-size" not in second
    assert "--network=out/fast.pickle" in second and "For more such pictures: --network out/fast.pickle" in printed
    assert "a plain network" in (tmp_path / "out" / "report.html").read_text()
    results = [(tmp_path / "out" / folder / "0.png").read_bytes() for folder in ("learned-from", "denoised")]
    assert results[0] != results[1]
    call(monkeypatch, "--learn in --out out")
    assert "Distilled already: out/fast.pickle" in capfd.readouterr().out
    assert (tmp_path / "out" / "denoised" / "0.png").read_bytes() == results[1]
    call(monkeypatch, "--learn in --out out --minutes 50")  # another plan
    assert "Distilled already" not in capfd.readouterr().out


@pytest.mark.slow
def test_white_noise_from_end_to_end(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(learning, "_measured", lambda *_: 60.0)
    monkeypatch.setattr(planning, "FEWEST_IMAGES", 1)
    monkeypatch.setattr(planning, "CROP", 64)
    write_pictures(tmp_path / "in", 3, side=128)
    call(monkeypatch, "--learn in --out out --minutes 100")
    assert "Trained already" not in capfd.readouterr().out
    first = (tmp_path / "out" / "denoised" / "0.png").read_bytes()
    network = list((tmp_path / "out" / "runs").glob("*/network-final-*.pickle"))
    assert len(network) == 1 and "The training</a>" in (tmp_path / "out" / "report.html").read_text()
    call(monkeypatch, "--learn in --out out --minutes 100")
    assert "Trained already" in capfd.readouterr().out
    assert (tmp_path / "out" / "denoised" / "0.png").read_bytes() == first
    other = Plan(NETWORK, "real_gauss-blindspot-sigma_global", 7, 64, 1, ())
    assert not learning._is_of(network[0].parent, other)  # of another plan it would be trained anew
