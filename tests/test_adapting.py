"""`--denoise --adapt N`: what is held out and learned from, by which configuration, what is refused, what is written."""

import math
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from graphs import random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from material import fresh_network, noisy_picture, write_network
from PIL import Image
from programs import FOLDER, Program, call, listening_to_ctrl_c

import selfsupervised_denoising
from config.configurations import REAL_CONFIGURATIONS
from config.recipes import RECIPES
from dnnlib.denoising.adapting import held_out, loop
from dnnlib.denoising.adapting.held_out import Parts, crop_side, middle, split, surrounded
from dnnlib.denoising.adapting.likelihood import HeldOutLikelihood
from dnnlib.denoising.adapting.loop import Lowest, training_options
from dnnlib.denoising.adapting.pages import Page, PageCrops, read_pages
from dnnlib.denoising.adapting.places import MOST_PLACES, places_of, shown_at
from dnnlib.denoising.adapting.start import Start, learned_configuration
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.noisy_pictures import NoisyPictures
from dnnlib.denoising.evaluation.real_noise import RealValidation
from dnnlib.denoising.inference.tiling import Region
from dnnlib.denoising.network.architecture import NOISE_VARIABLE, shapes_of
from dnnlib.denoising.network.network_file import load_configured, to_network
from dnnlib.denoising.noise.learned_parameter import parameter_from_raw
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network
from dnnlib.tflib.replicas import Replicas
from dnnlib.tflib.runtime import create_session, initialize, tf

SCRIPT = "selfsupervised_denoising.py"
KNOWN, N2C = "gauss25-blindspot-sigma_known", "gauss25-n2c"
REAL, REAL_MONO = "real_poissongauss-blindspot-sigma_global", "real_poissongauss-blindspot-sigma_global-mono"
NETWORKS = {
    "known.pickle": KNOWN, "n2c.pickle": N2C, "n2n.pickle": "gauss25-n2n", "mean.pickle": "gauss25-blindspot_mean",
    "impulse.pickle": "impulse50-blindspot-sigma_known", "mono.pickle": f"{KNOWN}-mono",
}  # fmt: skip


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Of random weights, as `known.pickle` and so on."""
    folder = tmp_path_factory.mktemp("networks")
    for file, name in NETWORKS.items():
        configuration = Configuration.from_name(name)
        save_network(to_network(configuration, random_variables(shapes_of(configuration), 2)), folder / file)
    write_network(folder / "fresh.pickle", KNOWN)
    return folder


@pytest.fixture
def place(networks, tmp_path, monkeypatch):
    """The working directory, with the networks, and pictures just large enough under `in`."""
    for path in networks.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "in").mkdir()
    Image.fromarray(noisy_picture(128, 160)).save(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what is held out

sizes = st.lists(st.tuples(st.integers(128, 700), st.integers(128, 700)), min_size=1, max_size=25)


def overlap(one: Region, other: Region) -> bool:
    rows = max(one.top, other.top) < min(one.bottom, other.bottom)
    return rows and max(one.left, other.left) < min(one.right, other.right)


def inside(one: Region, other: Region) -> bool:
    return one.top >= other.top and one.left >= other.left and one.bottom <= other.bottom and one.right <= other.right


@settings(deadline=None)
@given(sizes, st.integers(0, 1000), st.integers(0, 10**9))
def test_what_is_held_out_is_in_no_crop(sizes, seed, number):
    parts = split(sizes)
    pages = [Page(np.broadcast_to(np.uint8(0), (*size, 1)), Scale(white=255), part)
             for size, part in zip(sizes, parts, strict=True)]  # fmt: skip
    trained_on = [part for part in parts if part.training]
    side = crop_side(parts)
    crops = PageCrops(pages, side, seed)
    for m in range(number, number + 20):
        page, square = crops.place(m)
        part = trained_on[page]
        assert (square.height, square.width) == (side, side) and inside(square, part.training)
        assert part.held_out is None or not overlap(square, part.held_out)


@given(sizes)
def test_how_much_is_held_out(sizes):
    parts = split(sizes)
    side = crop_side(parts)
    assert side in (96, 128)
    if len(sizes) >= 10:
        assert [i for i, part in enumerate(parts) if part.training is None] == list(range(9, len(sizes), 10))
        assert all((part.training or part.held_out) == (0, 0, *size) for part, size in zip(parts, sizes, strict=True))
        assert all(part.training is None or part.held_out is None for part in parts) and side == 128
        return
    for (height, width), (training, strip) in zip(sizes, parts, strict=True):
        assert training.height * training.width + strip.height * strip.width == height * width
        assert not overlap(training, strip) and inside(strip, Region(0, 0, height, width))
        thickness = min(strip.height, strip.width)
        assert thickness % 32 == 0 and abs(thickness - max(max(height, width) / 8, 32)) <= 16
        assert max(strip.height, strip.width) == min(height, width)  # at the end of the longer side
        assert (strip.bottom, strip.right) == (height, width)


def test_the_strip_is_at_the_end_of_the_longer_side():
    assert split([(512, 768), (768, 512), (128, 128)]) == [
        Parts(Region(0, 0, 512, 672), Region(0, 672, 512, 768)), Parts(Region(0, 0, 672, 512), Region(672, 0, 768, 512)),
        Parts(Region(0, 0, 128, 96), Region(0, 96, 128, 128)),
    ]  # fmt: skip


@given(st.integers(0, 300), st.integers(0, 300), st.integers(32, 2000), st.integers(32, 2000), st.integers(1 << 14, 1 << 18))
def test_what_is_measured(top, left, height, width, pixels):
    region = Region(top, left, top + height, left + width)
    found = middle(region, pixels)
    assert inside(found, region) and found.height * found.width <= pixels
    assert found == region or found.height * found.width > pixels - max(found.height, found.width)  # no row is wasted
    for i in range(2):
        before, after = found[i] - region[i], region[i + 2] - found[i + 2]
        assert 0 <= after - before <= 1
    whole = Region(0, 0, -(-region.bottom // 32) * 32, -(-region.right // 32) * 32)
    around = surrounded(found, 64, whole.bottom, whole.right)
    assert inside(found, around) and inside(around, whole) and not any(edge % 32 for edge in around)
    assert around.top in (0, max((found.top - 64) // 32 * 32, 0)) and around.bottom >= min(found.bottom + 64, whole.bottom)


def test_crops_are_drawn_from_all_pages_and_follow_from_the_seed():
    """Pixel by pixel alike: a page four times as large comes four times as often."""
    pages = [Page(np.full([*size, 3], i * 50, np.uint8), Scale(white=250), Parts(Region(0, 0, *size), None))
             for i, size in enumerate([(128, 128), (256, 256)])]  # fmt: skip
    crops = PageCrops(pages, 96, 1)
    values = np.array([crops[m][0, 0, 0] for m in range(400)])
    assert np.unique(values).tolist() == pytest.approx([0.0, 0.2])
    assert abs(np.mean(values > 0) - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 400)
    assert [crops.place(m) for m in range(20)] == [PageCrops(pages, 96, 1).place(m) for m in range(20)]
    assert [crops.place(m) for m in range(20)] != [PageCrops(pages, 96, 2).place(m) for m in range(20)]


def test_pages_are_read_as_denoising_reads_them(place):
    stack = np.stack([noisy_picture(128, 160, i) for i in range(2)]).astype(np.uint16) * 16
    tifffile.imwrite("in/stack.tif", stack, photometric="rgb")
    Image.fromarray(np.dstack([noisy_picture(140, 130), np.full([140, 130], 99, np.uint8)])).save("in/alpha.png")
    pages = read_pages(["in/stack.tif", "in/alpha.png"], Scale(16, 4080))
    assert [page.pixels.shape for page in pages] == [(128, 160, 3), (128, 160, 3), (140, 130, 3)]
    np.testing.assert_array_equal(pages[1].read(Region(0, 8, 128, 160)), Scale(16, 4080).to_float(stack[1, :, 8:]))
    assert Scale().of(np.dtype(np.uint8)).to_float(np.uint8([0, 255])).tolist() == [0.0, 1.0]
    (page,) = read_pages(["in/a.png"], Scale(10))
    assert page.limits.tolist() == Scale(10, 255).to_float(np.array([0.0, 255, 255])).tolist()


# --- what is learned


@pytest.mark.parametrize(("source", "channels", "wanted"), [
    (KNOWN, 3, REAL), (KNOWN, 1, REAL_MONO), (f"{KNOWN}-mono", 1, REAL_MONO),
    ("gauss5_50-blindspot_diag-sigma_global", 3, REAL),
    ("poisson5_50-blindspot-sigma_per_image", 3, REAL),
    *((name, 3, name) for name in ("real_gauss-blindspot-sigma_per_image", "real_poisson-blindspot-sigma_global")),
    ("real_gauss-blindspot-sigma_global", 1, "real_gauss-blindspot-sigma_global-mono"),
])  # fmt: skip
def test_the_configuration_that_is_learned(source, channels, wanted):
    given = Configuration.from_name(source)
    found = learned_configuration(Configuration(**{**vars(given), "hole_size": 3}), channels)
    assert (found.name, found.hole_size) == (wanted, 3)
    rows = [Configuration(*(row[k] for k in ("noise_style", "pipeline", "noise_params", "diagonal", "channels"))).name
            for row in REAL_CONFIGURATIONS]  # fmt: skip
    assert found.name in rows


def test_where_the_noise_starts():
    """One that is fresh at an estimate, one that the network has learned where it was."""
    random = np.random.default_rng(0)
    pixels = (0.5 + 0.1 * random.standard_normal([128, 160, 3])).astype(np.float32)
    crops = PageCrops([Page(pixels, Scale(white=1.0), split([(128, 160)])[0])], 128, 1)
    source, wanted = Configuration.from_name(KNOWN), Configuration.from_name(REAL)
    values = Start(fresh_network(KNOWN), source, wanted).values(crops, 1)
    a, b = parameter_from_raw(values[NOISE_VARIABLE].ravel(), True)
    assert abs(0.5 * a + b - 0.01) < 0.002  # the variance at the pixels' brightness
    network = fresh_network(REAL)
    network.variables[NOISE_VARIABLE][:] = 1.5
    assert (Start(network, wanted, wanted).values(crops, 1)[NOISE_VARIABLE] == 1.5).all()


def test_the_recipe_is_followed_but_for_the_rate():
    options = training_options(RECIPES["fast"], 300, 96, "float32", 5e-4)
    assert (options.learning_rate, options.num_iter, options.train_resolution) == (5e-4, 300, 96)
    kept = {name: value for name, value in RECIPES["fast"].items() if name != "learning_rate"}
    assert kept == {name: getattr(options, name) for name in kept}
    assert training_options({"minibatch_size": 4}, 11, 96, "float32", 5e-4).num_iter == 8
    assert training_options({"minibatch_size": 4}, 3, 96, "float32", 5e-4).num_iter == 4


@pytest.mark.parametrize(("images", "size"), [(300, 1), (10, 1), (7, 1), (1, 1), (104, 4), (4, 4)])
def test_it_is_checked_ten_times_and_at_the_end(images, size):
    options = training_options({"minibatch_size": size}, images, 128, "float32", 5e-4)
    due = [n for n in range(size, images + 1, size) if loop.is_due(n, options)]
    assert len(due) == min(10, images // size) and due[-1] == images
    assert np.all(np.abs(np.diff([0, *due]) - images / len(due)) <= size)


def test_the_lowest_is_kept_and_the_patience_ends(monkeypatch):
    monkeypatch.setattr(loop, "fetch_variables", lambda session: {"of": session})
    lowest = Lowest(-1.0)
    checks = [
        (-0.5, False), (math.nan, False), (-0.5, False), (-0.4, True), (-0.9, False), (-1.0, False),  # none below the start
        (-1.1, False), (-1.05, False), (-1.2, False), (-1.2, False), (math.inf, False), (-1.1, True),
    ]  # fmt: skip
    for i, (nll, given_up) in enumerate(checks, 1):
        lowest.take(i, nll, f"session {i}")
        assert lowest.given_up == given_up, i
        assert (lowest.variables is None) == (i < 7)
    assert (lowest.images, lowest.nll, lowest.variables) == (9, -1.2, {"of": "session 9"})
    broken = Lowest(math.nan)
    broken.take(1, 5.0, "session")
    assert broken.nll == 5.0 and broken.variables


@pytest.mark.parametrize("name", [REAL_MONO, "real_gauss-blindspot-sigma_per_image"])
def test_the_likelihood_is_that_of_the_evaluation(name):
    """Of a page that is shown as a whole."""
    configuration = Configuration.from_name(name)
    pixels = noisy_picture(130, 140)[:, :, : configuration.channels]
    page = Page(pixels, Scale(white=255), Parts(None, Region(0, 0, 130, 140)))
    pictures = NoisyPictures(["a"], [0], [pixels].__getitem__, page.scale)
    variables = random_variables(shapes_of(configuration), 2)
    with tf.Graph().as_default():
        graph = RealValidation(configuration, Replicas())
        ours = HeldOutLikelihood(configuration, [page])
        with create_session() as session:
            initialize(session, variables)
            scores, check = graph.validate(session, pictures), ours.check(session)
    assert check.nll == pytest.approx(scores.nll, rel=1e-4) and check.noise == pytest.approx(scores.parameters, rel=1e-4)


def test_only_held_out_pixels_are_measured_and_not_all_of_many(monkeypatch):
    pixels = noisy_picture(256, 300)
    (part,) = split([(256, 300)])
    page = Page(pixels, Scale(white=255), part)
    (place,) = places_of([page])
    picture, (top, left, bottom, right) = shown_at(place, page, 3), place.window
    measured = Scale(white=255).to_float(pixels[:, part.held_out.left :])
    np.testing.assert_array_equal(picture[0, top:bottom, left:right], measured)
    monkeypatch.setattr(held_out, "WHOLE_PAGES", 2)
    parts = split([(128, 128)] * 100)
    many = [Page(np.full([128, 128, 1], i, np.uint8), Scale(white=1), part) for i, part in enumerate(parts)]
    found = [shown_at(place, many[place.page], 1)[0, 0, 0, 0] for place in places_of(many)]
    assert len(found) == MOST_PLACES and all(value % 2 == 1 for value in found)  # the number of the page
    assert len(set(found)) == len(found)


# --- the whole


def denoised(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_saved_network_gives_the_same_pictures(place, monkeypatch, capsys):
    """Also where a broken file is among them, which is skipped as ever."""
    monkeypatch.setattr(held_out, "LARGEST_CROP", 64)  # for speed
    (place / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(UserError, match="1 of 2 files skipped"):
        call("--denoise in --network fresh.pickle --out out --adapt 20 --save-network new/net.pickle", monkeypatch)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == (
        f"Adapting fresh.pickle to 1 page, as {REAL}: 20 images of 64 x 64 pixels; held out: a strip of each page"
    )
    checks = [re.fullmatch(r" +(\d+): valid_nll= *(-?\d+\.\d{4}), a=\d\.\d{3}e-\d\d, b=\d\.\d{3}e-\d\d", line)
              for line in lines[1:12]]  # fmt: skip
    assert [int(match[1]) for match in checks] == [*range(0, 21, 2)]
    found = [float(match[2]) for match in checks]
    best = int(np.argmin(found))  # of the checks, one in two images
    said = f"Adapted: valid_nll from {found[0]:.4f} to {found[best]:.4f}, after {2 * best} images -> new/net.pickle"
    assert lines[12] == said and found[best] < found[0]
    assert re.match(r"in/a\.png: 160 x 128 RGB, uint8, a [\d.e-]+, b [\d.e-]+ \(learned\)", lines[13])
    assert lines[14].startswith("skipped: cannot read in/broken.png") and len(lines) == 15
    network, configuration = load_configured(place / "new" / "net.pickle")
    assert configuration.name == REAL and list((place / "new").iterdir()) == [place / "new" / "net.pickle"]
    assert network.variables["nin_c/W"].tobytes() != fresh_network(KNOWN).variables["nin_c/W"].tobytes()
    call("--denoise in/a.png --network new/net.pickle --out again", monkeypatch)
    assert denoised(place / "again") == denoised(place / "out")


def test_a_network_that_becomes_worse_stays_as_it_was(place, monkeypatch, capsys):
    monkeypatch.setattr(held_out, "LARGEST_CROP", 64)
    monkeypatch.setattr(loop, "PEAK_RATE", 1e3)
    call("--denoise in --network fresh.pickle --out plain --std", monkeypatch)
    plain = capsys.readouterr().out.splitlines()[-1]
    call("--denoise in --network fresh.pickle --out out --std --adapt 20 --save-network net.pickle", monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"Not adapted, ended early after 6 of 20 images: valid_nll became no lower than -?\d+\.\d{4}, and the network "
        r"stays as it was; net\.pickle is not written", lines[-2],
    ), lines  # fmt: skip
    assert re.sub(r"[\d.]+ s ->.*", "", lines[-1]) == re.sub(r"[\d.]+ s ->.*", "", plain)
    assert denoised(place / "out") == denoised(place / "plain") and not (place / "net.pickle").exists()


def test_a_grey_stack_by_an_rgb_network(place, monkeypatch, capsys):
    """It becomes a network for one channel; and of ten pages one is held out."""
    monkeypatch.setattr(held_out, "LARGEST_CROP", 64)
    stack = np.stack([noisy_picture(128, 128, i)[:, :, 0] for i in range(10)])
    tifffile.imwrite("in/stack.tif", stack)
    file = f"network-00000003-{REAL_MONO}.pickle"
    call(f"--denoise in/stack.tif --network fresh.pickle --out out --adapt 3 --save-network {file}", monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"to 10 pages, as {REAL_MONO}: 3 images of 64 x 64 pixels; held out: every 10th page")
    assert "10 pages, a " in lines[-1] and "repeated" not in lines[-1]
    assert load_configured(file)[1].channels == 1 and tifffile.imread("out/stack.tif").shape == stack.shape


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_in_one_line(place, number, status):
    write_network(place / "real.pickle", REAL_MONO)  # the quickest to begin: its noise is not estimated
    Image.fromarray(noisy_picture(128, 128)[:, :, 0]).save("in/a.png")
    command = "--denoise in --network real.pickle --out out --adapt 100000 --save-network out/n.pickle"
    with listening_to_ctrl_c():
        program = Program(place, SCRIPT, command)
    program.wait_for(r" +0: valid_nll")
    program.process.send_signal(number)
    assert program.ended().status == status
    assert program.stderr.splitlines()[-1] == "Interrupted." and "Traceback" not in program.stderr
    assert not list((place / "out").iterdir())


# --- what is refused

ADAPT = "--out out --adapt 5 --denoise in/a.png --network"
WRONG_USE = [
    (f"{ADAPT} known.pickle --adapt 0", "--adapt 0: must be 1 or more"),
    ("--denoise in/a.png --network known.pickle --out out --save-network n.pickle", "--save-network n.pickle: is for"),
    (f"{ADAPT} known.pickle --sigma 25", "--sigma and --adapt do not go together"),
    (f"{ADAPT} n2c.pickle", "--adapt: a network of gauss25-n2c has no likelihood", "name one of"),
    (f"{ADAPT} n2n.pickle", "--adapt: a network of gauss25-n2n has no likelihood"),
    (f"{ADAPT} mean.pickle", "--adapt: a network of gauss25-blindspot_mean has no likelihood"),
    (f"{ADAPT} impulse.pickle", "--adapt: a network of impulse50-blindspot-sigma_known is of a noise that cannot"),
    (f"{ADAPT} mono.pickle", "--adapt: a network of gauss25-blindspot-sigma_known-mono is for one channel"),
    (f"{ADAPT} known.pickle --denoise in/a.png in/low.png", "--adapt: in/low.png is 200 x 127, and", "128 pixels or more"),
    (f"{ADAPT} known.pickle --denoise in/narrow.tif", "--adapt: in/narrow.tif is 127 x 200"),
    (f"{ADAPT} known.pickle --denoise in/grey.png in/a.png", "--adapt: in/grey.png is grey and in/a.png is RGB"),
    (f"{ADAPT} known.pickle --denoise in/nan.npy", "in/nan.npy", "NaN"),
    (f"{ADAPT} known.pickle --denoise in/half.png", "cannot read in/half.png"),
    (f"{ADAPT} known.pickle --white 3 --black 5", "--white 3"),
    (f"{ADAPT} known.pickle --save-network net.png", "--save-network net.png", "ends in .pickle"),
    (f"{ADAPT} known.pickle --save-network folder.pickle", "--save-network folder.pickle: a folder is in the way"),
    (f"{ADAPT} known.pickle --save-network network-final-{KNOWN}.pickle", f"is named as a network of {KNOWN}", REAL),
    ("--eval known.pickle --dataset-dir in --adapt 5", "--adapt is for --denoise, not for --eval"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG_USE, ids=lambda case: case[0][-50:])
def test_wrong_use(place, monkeypatch, capfd, case):
    Image.fromarray(noisy_picture(127, 200)).save("in/low.png")
    tifffile.imwrite("in/narrow.tif", np.stack([noisy_picture(200, 127)] * 2), photometric="rgb")
    Image.fromarray(noisy_picture(128, 160)[:, :, 0]).save("in/grey.png")
    np.save("in/nan.npy", np.full([128, 128], np.nan))
    (place / "in" / "half.png").write_bytes((place / "in" / "a.png").read_bytes()[:5000])
    (place / "folder.pickle").mkdir()
    before = sorted(place.rglob("*"))
    monkeypatch.setattr(loop, "adapt", lambda *_: pytest.fail("the work has begun"))
    monkeypatch.setattr(selfsupervised_denoising, "NETWORKS", {})  # no default
    with pytest.raises(UserError) as caught:
        call(case[0], monkeypatch)
    for part in case[1:]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")
    assert sorted(place.rglob("*")) == before


def test_wrong_use_is_told_without_tensorflow():
    """So within a second."""
    imports = "import sys, dnnlib.denoising.adapting.denoise; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imports], cwd=FOLDER, check=False).returncode == 0
