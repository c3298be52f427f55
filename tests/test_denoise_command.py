"""`--denoise` as a user meets it: what it writes and prints, what is refused, and that broken files do not stop it."""

import re
import shlex
import sys

import numpy as np
import pytest
import tifffile
from graphs import random_variables
from material import smooth_picture, write_network
from PIL import Image
from programs import FOLDER, run_on_terminal

import selfsupervised_denoising
from dnnlib.denoising import Denoiser
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.inference.comparison import comparison
from dnnlib.denoising.inference.denoise_files import denoise
from dnnlib.denoising.inference.std_file import to_std16
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.denoising.options import DenoisingOptions
from dnnlib.denoising.pictures import png
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib.network import save_network

SCRIPT = "selfsupervised_denoising.py"
KNOWN, MONO, N2C, PER_IMAGE = NETWORKS = {
    "known.pickle": "gauss25-blindspot-sigma_known", "mono.pickle": "gauss25-blindspot-sigma_known-mono",
    "n2c.pickle": "gauss25-n2c", "per_image.pickle": "gauss5_50-blindspot-sigma_per_image",
}  # fmt: skip
WORDS = "65535 = 0.5 of white"


def noisy(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [H,W,3], sigma 25."""
    noise = np.random.default_rng(seed).standard_normal([height, width, 3])
    return np.clip(smooth_picture(height, width, seed) + 25 * noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Of random weights; `known.pickle` also as `fresh.pickle`, untrained."""
    folder = tmp_path_factory.mktemp("networks")
    for file, name in NETWORKS.items():
        configuration = Configuration.from_name(name)
        save_network(to_network(configuration, random_variables(shapes_of(configuration), 2)), folder / file)
    write_network(folder / "fresh.pickle", NETWORKS[KNOWN])
    return folder


@pytest.fixture
def place(networks, tmp_path, monkeypatch):
    """The working directory, with pictures under `in` and the networks."""
    for path in networks.iterdir():
        (tmp_path / path.name).symlink_to(path)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(noisy(70, 90)).save(folder / "a.png")
    Image.fromarray(noisy(66, 64)[:, :, 0]).save(folder / "grey.jpg")
    stack = np.stack([noisy(64, 80, i) for i in range(2)]).astype(np.uint16) * 257
    tifffile.imwrite(folder / "stack.TIF", stack, photometric="rgb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def call(arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT, *shlex.split(arguments)])
    selfsupervised_denoising.main()


# --- as a process


def test_a_folder_with_a_broken_file(place):
    np.save(place / "in" / "nan.npy", np.full([70, 70], np.nan))
    whole = (place / "in" / "a.png").read_bytes()
    (place / "in" / "half.png").write_bytes(whole[: len(whole) // 2])
    before = {path: path.read_bytes() for path in (place / "in").iterdir()}
    arguments = f"--denoise in --network {KNOWN} --out new/out --std --compare --tile 32"
    status, out, terminal = run_on_terminal([sys.executable, FOLDER / SCRIPT, *arguments.split()], place)
    lines = out.splitlines()
    assert status == 1
    assert terminal.rstrip().endswith("Error: 2 of 5 files skipped, see above")
    assert re.search(r"\d+/9\b.*tile", terminal)  # 3 x 3 tiles of a.png
    level = r"sigma \d\d\.\d+ \(estimated\)"
    expected = [
        rf"in/a\.png: 90 x 70 RGB, uint8, {level}, \d+\.\d s -> "
        rf"new/out/a\.png, new/out/a-std\.png \({WORDS}\), new/out/a-compare\.png",
        rf"in/grey\.jpg: 64 x 66 grey, uint8, {level}, grey: repeated .* averaged, \d.* s -> new/out/grey\.jpg, .*",
        r"skipped: cannot read in/half\.png: .*truncated.*",
        r"skipped: in/nan\.npy: no pixel has a value: all are nodata, NaN or infinite",
        r"in/stack\.TIF: 80 x 64 RGB, uint16, 2 pages, sigma \d+\.\d+ to \d+\.\d+ \(estimated, page by page\), .*",
    ]  # fmt: skip
    shown = [line for line in lines if line]
    assert len(shown) == len(expected)
    for line, pattern in zip(shown, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    stems = {"a": ("a.png", "a-std.png"), "grey": ("grey.jpg", "grey-std.png"), "stack": ("stack.TIF", "stack-std.tif")}
    results = [name for stem, two in stems.items() for name in (*two, f"{stem}-compare.png")]
    assert names(place / "new" / "out") == sorted(results)
    assert {path: path.read_bytes() for path in (place / "in").iterdir()} == before


# --- results


def test_results_are_those_of_denoiser(place, monkeypatch, capsys):
    call(f"--denoise in/*.png 'in/*.TIF' --network {KNOWN} --out out --sigma 30 --std --white 60000", monkeypatch)
    with Denoiser.load(KNOWN) as denoiser:
        picture, stack = np.asarray(Image.open("in/a.png")), tifffile.imread("in/stack.TIF")
        expected, std = denoiser(picture, sigma=30, white=60000)
        np.testing.assert_array_equal(np.asarray(Image.open("out/a.png")), expected)
        stored = png.decode16((place / "out" / "a-std.png").read_bytes())[:, :, 0]
        np.testing.assert_allclose(stored, np.minimum(std / 60000 * 2, 1) * 65535, atol=2)
        for i, page in enumerate(stack):
            expected, std = denoiser(page, sigma=30, white=60000)
            np.testing.assert_array_equal(tifffile.imread("out/stack.TIF", key=i), expected)
            np.testing.assert_allclose(tifffile.imread("out/stack-std.tif", key=i), np.minimum(std / 3e4, 1) * 65535, atol=2)
    assert capsys.readouterr().out.count("sigma 30 (given)") == 2


def test_both_stds_and_a_part_of_the_strength(place, monkeypatch, capsys):
    """Each std goes into a file of its own, and is that of the whole strength."""
    arguments = "--sigma 30 --std --prior-std --strength 0.25 --compare"
    call(f"--denoise in/a.png in/stack.TIF --network {KNOWN} --out out {arguments}", monkeypatch)
    with Denoiser.load(KNOWN) as denoiser:
        picture = np.asarray(Image.open("in/a.png"))
        expected, std = denoiser(picture, sigma=30, strength=0.25)
        np.testing.assert_array_equal(np.asarray(Image.open("out/a.png")), expected)
        stds = {"std": std, "prior-std": denoiser(picture, sigma=30, prior_std=True)[1]}
    stored = {name: png.decode16((place / "out" / f"a-{name}.png").read_bytes())[:, :, 0] for name in stds}
    for name, std in stds.items():
        np.testing.assert_allclose(stored[name], np.minimum(std / 255 * 2, 1) * 65535, atol=2)
    assert np.median(stored["std"]) < np.median(stored["prior-std"])
    endings = ["", "-std", "-prior-std"]
    written = [f"a{ending}.png" for ending in endings] + ["stack.TIF", *(f"stack{ending}.tif" for ending in endings[1:])]
    assert names(place / "out") == sorted([*written, "a-compare.png", "stack-compare.png"])
    assert f"out/a-std.png ({WORDS}), out/a-prior-std.png ({WORDS}), out/a-compare.png" in capsys.readouterr().out


def test_a_strength_of_0_gives_the_files_as_they_were(place, monkeypatch):
    floats = np.random.default_rng(0).standard_normal([64, 70, 3])
    np.save("in/floats.npy", floats)
    call(f"--denoise in/a.png in/stack.TIF in/floats.npy --network {N2C} --out out --strength 0", monkeypatch)
    np.testing.assert_array_equal(np.asarray(Image.open("out/a.png")), np.asarray(Image.open("in/a.png")))
    np.testing.assert_array_equal(tifffile.imread("out/stack.TIF"), tifffile.imread("in/stack.TIF"))
    assert np.load("out/floats.npy").tobytes() == floats.tobytes()


def test_a_network_without_noise_level_and_one_with_its_own(place, monkeypatch, capsys):
    call(f"--denoise in/a.png --network {N2C} --out one --compare", monkeypatch)
    call(f"--denoise in --network {PER_IMAGE} --out two", monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert "no noise level needed" in lines[0] and names(place / "one") == ["a-compare.png", "a.png"]
    assert len(lines) == 4 and all("(learned" in line for line in lines[1:])
    assert names(place / "two") == ["a.png", "grey.jpg", "stack.TIF"]


def test_grey_and_colour_with_a_mono_network(place, monkeypatch, capsys):
    with pytest.raises(UserError, match="1 of 2 files skipped"):
        call(f"--denoise in/a.png in/grey.jpg --network {MONO} --out out --sigma 25", monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    remedy = "convert it to grey, or take an RGB network"
    assert lines[0] == f"skipped: in/a.png: a colour picture, but a network for one channel: {remedy}"
    assert lines[1].startswith("in/grey.jpg: 64 x 66 grey, uint8, sigma 25 (given), ")
    assert names(place / "out") == ["grey.jpg"]


def test_small_pictures_need_a_level(place, monkeypatch, capsys):
    Image.fromarray(noisy(9, 1)).save("in/small.png")
    with pytest.raises(UserError, match="1 of 1 files skipped"):
        call(f"--denoise in/small.png --network {KNOWN} --out out", monkeypatch)
    assert "in/small.png: too small to estimate" in capsys.readouterr().out
    call(f"--denoise in/small.png --network {KNOWN} --out out --sigma 25 --std --compare", monkeypatch)
    assert Image.open("out/small.png").size == (1, 9)


def test_a_full_disk_stops_neither(place, monkeypatch, capsys):
    from dnnlib.denoising.pictures.picture import Picture

    write = Picture.write

    def full(self, path, pages):
        if "a.png" in str(path):
            raise UserError(f"cannot write {path}: No space left on device")
        write(self, path, pages)

    monkeypatch.setattr(Picture, "write", full)
    with pytest.raises(UserError, match="1 of 2 files skipped"):
        denoise(["in/a.png", "in/grey.jpg"], DenoisingOptions(KNOWN, "out", sigma=25), {})
    assert "skipped: cannot write out/a.png: No space" in capsys.readouterr().out and names(place / "out") == ["grey.jpg"]


def test_one_picture_by_several_names_is_denoised_once(place, monkeypatch, capsys):
    (place / "link").symlink_to("in")
    call(f"--denoise in/a.png in/./a.png 'in/?.png' link/a.png --network {N2C} --out out", monkeypatch)
    assert len(capsys.readouterr().out.splitlines()) == 1


# --- what is refused

TRAIN = "--train gauss25-n2c --train-h5 shard.h5 --dataset-dir in"
DENOISE = f"--denoise in/a.png --network {KNOWN} --out out"
WRONG_USE = [
    (f"{TRAIN} --denoise in/a.png", "--train and --denoise do not go together"),
    ("--eval known.pickle --export out", "--eval and --export do not go together"),
    (f"{DENOISE} --export model", "--denoise and --export do not go together"),
    (f"--denoise in/a.png --network {KNOWN}", "--out is missing"),
    ("--denoise in/a.png --out out", "--network is missing"), ("--export model", "--network is missing"),
    (f"--denoise --network {KNOWN} --out out", "--denoise", "expected at least one argument"),
    (f"{TRAIN} --sigma 25", "--sigma is for --denoise, not for --train"),
    (f"{TRAIN} --network known.pickle", "--network is for --denoise and --export, not for --train"),
    ("--eval known.pickle --dataset-dir in --out out", "--out is for --denoise"),
    ("--eval known.pickle --dataset-dir in --std", "--std is for --denoise"),
    (f"--export model --network {KNOWN} --tile 64", "--tile is for --denoise, not for --export"),
    ("--sigma 25", "nothing to do"), (f"{DENOISE} --num-iter 3", "--num-iter is for --train, not for --denoise"),
    (f"{DENOISE} --dataset-dir in", "--dataset-dir is for --train and --eval"), (f"{DENOISE} -n", "--dry-run is for"),
    (f"{DENOISE} --sigma loud", "--sigma", "loud"), (f"{DENOISE} --sigma=-3", "--sigma -3"),
    (f"{DENOISE} --sigma 25 --alpha 0.5", "--sigma and --alpha do not go together"),
    (f"{DENOISE} --lambda 30", "--lambda 30: a network of gauss25-blindspot-sigma_known takes --sigma"),
    (f"{DENOISE} --network {N2C} --sigma 25", "needs no noise level"),
    (f"{DENOISE} --network {PER_IMAGE} --lambda 25", "takes --sigma"),
    (f"{DENOISE} --network {N2C} --std", "--std: a network of gauss25-n2c does not tell how sure it is"),
    (f"{DENOISE} --network {N2C} --prior-std", "--prior-std: a network of gauss25-n2c does not tell how sure it is"),
    (f"{DENOISE} --strength 1.5", "--strength 1.5: must be from 0 to 1"), (f"{DENOISE} --strength nan", "--strength nan"),
    (f"{DENOISE} --strength=-0.1", "--strength -0.1"), (f"{DENOISE} --strength much", "--strength", "much"),
    ("--eval known.pickle --dataset-dir in --prior-std", "--prior-std is for --denoise"),
    (f"{DENOISE} --white 0", "--white 0"), (f"{DENOISE} --white nan", "--white nan"),
    (f"{DENOISE} --tile=-32", "--tile -32"),
    (f"{DENOISE} --tile 1.5", "--tile"), (f"{DENOISE} --network nowhere.pickle", "nowhere.pickle", "no such file"),
    (f"{DENOISE} --network in/a.png", "in/a.png", "is not a network file but a PNG image"),
    (f"--denoise nowhere.png --network {KNOWN} --out out", "--denoise nowhere.png: there is no such file"),
    (f"--denoise 'in/*.gif' --network {KNOWN} --out out", "--denoise in/*.gif: nothing matches"),
    (f"--denoise empty --network {KNOWN} --out out", "--denoise empty: no picture in it"),
    (f"--denoise in/a.png --network {KNOWN} --out in", "--out in: is the folder of the input in/a.png"),
    (f"--denoise in/a.png --network {KNOWN} --out link", "--out link: is the folder of the input in/a.png"),
    (f"--denoise links --network {KNOWN} --out other", "--out other: a.png there is the input links/a.png itself"),
    (f"--denoise in/a.png other/a.png --network {KNOWN} --out out", "two results would be named a.png"),
    (f"--denoise in/a.png other/a.jpg --network {KNOWN} --out out --compare", "two results would be named a-compare.png"),
    (f"--denoise in/a.png other/a-std.png --network {KNOWN} --out out --std", "two results would be named a-std.png"),
    (f"--denoise in/a.png other/a-prior.png --network {KNOWN} --out out --std --prior-std", "named a-prior-std.png"),
    (f"--denoise in/a.png --network {KNOWN} --out known.pickle", "--out known.pickle: a file is in the way"),
    (f"--denoise in/a.png --network {KNOWN} --out known.pickle/x", "--out known.pickle/x: cannot write there"),
    (f"--denoise in/a.png --network {KNOWN} --out /proc/denoised", "--out /proc/denoised: cannot write there"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG_USE, ids=lambda case: case[0][-60:])
def test_wrong_use(place, monkeypatch, capfd, case):
    (place / "other").mkdir()
    (place / "empty").mkdir()
    (place / "link").symlink_to("in")
    for name in ("a.png", "a.jpg", "a-std.png", "a-prior.png"):
        Image.fromarray(noisy(9, 9)).save(place / "other" / name)
    (place / "links").mkdir()
    (place / "links" / "a.png").symlink_to(place / "other" / "a.png")
    before = sorted(place.rglob("*"))
    denoiser = "dnnlib.denoising.inference.denoiser.Denoiser"
    monkeypatch.setattr(f"{denoiser}.__init__", lambda *_: pytest.fail("the work has begun"))
    monkeypatch.setattr(selfsupervised_denoising, "NETWORKS", {})  # no default
    with pytest.raises(UserError) as caught:
        call(case[0], monkeypatch)
    for part in case[1:]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")
    assert sorted(place.rglob("*")) == before


# --- black and white


def test_floats_on_a_scale_of_their_own(place, monkeypatch, capsys):
    """Their white is not 1: nothing is written unless it is told."""
    np.save("f255.npy", noisy(64, 70).astype(np.float32))
    np.save("f65535.npy", noisy(64, 70).astype(np.float64) * 257)
    with pytest.raises(UserError, match="2 of 2 files skipped"):
        call(f"--denoise f255.npy f65535.npy --network {KNOWN} --out out", monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    for line, name, white in zip(lines, ("f255.npy", "f65535.npy"), (255, 65535), strict=True):
        assert line.startswith(f"skipped: {name}: values from ") and f"e.g. --white {white}" in line
    assert names(place / "out") == []
    call(f"--denoise f255.npy --network {KNOWN} --out out --white 255", monkeypatch)
    assert capsys.readouterr().out.startswith("f255.npy: 70 x 64 RGB, float32, sigma ")


def test_12_bits_in_16(place, monkeypatch, capsys):
    """A line warns where nothing says so; a tag is taken, and said; then the result is that of the option."""
    pixels = noisy(64, 70).astype(np.uint16) * 16
    tifffile.imwrite("plain.tif", pixels, photometric="rgb")
    tifffile.imwrite("tagged.tif", pixels, photometric="rgb", extratags=[(281, 3, 3, (4095,) * 3, True)])
    call(f"--denoise plain.tif tagged.tif --network {PER_IMAGE} --out out", monkeypatch)
    warning, plain, tagged = capsys.readouterr().out.splitlines()
    values = f"values from {pixels.min()} to {pixels.max():,} of 65,535"
    assert warning == f"Warning: plain.tif: {values}: if these are 12 bits give --white 4095"
    assert plain.startswith("plain.tif: ") and "4,095" not in plain
    assert tagged.startswith("tagged.tif: ") and ", white 4,095 as its MaxSampleValue says, " in tagged
    call(f"--denoise plain.tif --network {PER_IMAGE} --out told --white 4095", monkeypatch)
    assert "Warning" not in capsys.readouterr().out
    results = [tifffile.imread(f"{folder}/{name}.tif") for folder, name in (("told", "plain"), ("out", "tagged"))]
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0], tifffile.imread("out/plain.tif"))
    assert tifffile.TiffFile("out/tagged.tif").pages[0].tags[281].value == 4095


def test_a_white_that_is_measured(place, monkeypatch, capsys):
    """It is one for all pictures, the bright and the dark; a few hot pixels do not count, nor does a broken file."""
    bright = noisy(64, 70).astype(np.uint16) * 16
    bright[0, :3, 0] = 65535
    np.save("bright.npy", bright)
    np.save("dark.npy", noisy(64, 70, 1).astype(np.uint16))
    (place / "broken.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match="1 of 3 files skipped"):
        call(f"--denoise bright.npy dark.npy broken.npy --network {PER_IMAGE} --out out --white auto", monkeypatch)
    first = capsys.readouterr().out.splitlines()[0]
    values = np.concatenate([np.load(f"{name}.npy").ravel() for name in ("bright", "dark")])
    white = np.quantile(values, 0.999, method="nearest")
    assert first == f"white is {white:g}, which 99.9 % of the values of all pictures do not exceed (--white auto)"
    call(f"--denoise dark.npy --network {PER_IMAGE} --out told --white {white:g}", monkeypatch)
    np.testing.assert_array_equal(np.load("out/dark.npy"), np.load("told/dark.npy"))
    for arguments, message in (
        ("in/a.png dark.npy --white auto", "--white auto: in/a.png is uint8 and dark.npy is uint16"),
        ("dark.npy --white auto --black 300", "--white auto: no values are above black, 300"),
        ("broken.npy --white auto", "cannot read broken.npy"), ("dark.npy --white aut", "--white: invalid number_or_auto"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            call(f"--denoise {arguments} --network {PER_IMAGE} --out other", monkeypatch)


def test_noise_beyond_all_reason(place, monkeypatch, capsys):
    """No value is so far out that it cannot be, but a pattern of them is no noise."""
    pixels = np.where(np.indices([64, 64]).sum(axis=0) % 2, -2.5, 3.5).astype(np.float32)
    np.save("a.npy", pixels)
    with pytest.raises(UserError, match="1 of 1 files skipped"):
        call(f"--denoise a.npy --network {MONO} --out out", monkeypatch)
    assert "its sigma would be " in (line := capsys.readouterr().out) and "give --white (and --black), or the level" in line


# --- comparison


def test_comparison():
    """Side by side above, the most detailed quarter below, four times as large."""
    image = np.full([80, 120, 3], 0.25)
    image[40:60, 90:120] = np.random.default_rng(0).random([20, 30, 3])
    std = np.full([80, 120], 5 / 255)
    shown = comparison(image * 0.5, image, to_std16(std), 3, Scale(white=1.0))
    assert shown.shape == (160, 360, 3) and shown.dtype == np.uint8
    assert np.abs(shown[:80, 120:240].astype(float) - image * 255).max() <= 0.5001
    assert np.abs(shown[:80, :120].astype(float) - image * 127.5).max() <= 0.5001
    assert set(shown[:, 240:].ravel()) <= {127, 128}
    detail = shown[80:, 120:240].reshape(20, 4, 30, 4, 3)
    assert (detail == detail[:, :1, :, :1]).all()
    places = [(y, x) for y in range(61) for x in range(91)]
    ((y, x),) = [p for p in places if (shown[p[0] :, p[1] + 120 :][:20, :30] == detail[:, 0, :, 0]).all()]
    assert abs(y - 40) <= 6 and abs(x - 90) <= 8


def test_comparison_of_a_large_or_tiny_grey_picture():
    large = np.random.default_rng(0).integers(0, 65536, [1500, 2100, 2], np.uint16)
    assert comparison(large, large, None, 1, Scale(white=65535)).shape == (1000, 1400, 3)
    mean = large[:3, :3, 0].mean() / 65535 * 255
    assert abs(comparison(large, large, None, 1, Scale(white=65535))[0, 0, 0] - mean) <= 1
    tiny = np.zeros([1, 2, 1], np.uint8)
    assert comparison(tiny, tiny, np.zeros([1, 2], np.uint16), 1, Scale(white=255)).shape == (2, 6, 3)
