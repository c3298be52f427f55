"""`--denoise --distill N`: what the plain network starts from, learns from, is refused for, and what is written."""

import math
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import tifffile
from graphs import compute, random_images
from material import fresh_network, noisy_picture, smooth_picture, write_network
from PIL import Image
from programs import Program, call, listening_to_ctrl_c

from dnnlib.denoising.adapting import held_out
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.distilling import denoise as distilling
from dnnlib.denoising.distilling import loop
from dnnlib.denoising.distilling import pairs as pairing
from dnnlib.denoising.distilling.loop import MINIBATCH, Distilled, psnr_of
from dnnlib.denoising.distilling.pairs import PairCrops, Pairs, read_both
from dnnlib.denoising.distilling.start import distilled_configuration, passing_on
from dnnlib.denoising.inference import denoise_files
from dnnlib.denoising.inference.denoise_files import DenoisedPage
from dnnlib.denoising.inference.noise_level import NoiseLevel
from dnnlib.denoising.inference.tiling import Region
from dnnlib.denoising.network.architecture import initial_variables, shapes_of
from dnnlib.denoising.network.network_file import load_configured
from dnnlib.denoising.network.unet import plain_unet
from dnnlib.denoising.pictures.files import read_filled
from dnnlib.denoising.pictures.scale import Scale
from dnnlib.errors import UserError
from dnnlib.tflib import precision
from dnnlib.tflib.runtime import tf

SCRIPT = "selfsupervised_denoising.py"
KNOWN = "gauss25-blindspot-sigma_known"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with a network, and a picture under `in`."""
    write_network(tmp_path / "fresh.pickle", KNOWN)
    (tmp_path / "in").mkdir()
    Image.fromarray(noisy_picture(128, 160)).save(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the start


@pytest.mark.isa
@pytest.mark.parametrize("channels", [1, 3])
def test_it_starts_as_a_network_that_changes_nothing(channels):
    """Exactly: there is one product in each sum, and its factor is 1. Other weights are fresh, and differ by the seed."""
    configuration = distilled_configuration(channels)
    assert configuration.is_distilled and configuration.channels == channels and not configuration.blind_spot
    values, x = passing_on(configuration, 3), random_images(2, 64, 64, channels)
    np.testing.assert_array_equal(compute(lambda x: plain_unet(x, channels), x, variables=values), x)
    fresh = initial_variables(shapes_of(configuration), 3)
    np.testing.assert_array_equal(values["enc_conv3/W"], fresh["enc_conv3/W"])
    assert (passing_on(configuration, 4)["dec_conv1b/W"] != values["dec_conv1b/W"])[..., channels:].all()


@pytest.mark.isa
def test_all_other_channels_can_be_learned():
    """The last layer sees them, though they do not count yet: its gradient is not zero, and all others' follow."""
    configuration = distilled_configuration(1)
    values, x = passing_on(configuration, 3), random_images(1, 64, 64, 1)

    def gradient(x):
        loss = tf.reduce_sum((plain_unet(x, 1) - 0.5) ** 2)
        kernel = next(v for v in tf.trainable_variables() if v.op.name == "nin_c/W")
        return tf.gradients(loss, kernel)[0]

    found = compute(gradient, x, variables=values)
    assert np.count_nonzero(found) > found.size * 0.9


# --- what is learned from


def pages_of(file: str, white: float = 255.0) -> Pairs:
    """A picture, and half of it as what it became."""
    scale, picture = Scale(0.0, white), read_filled(file, None)
    pairs = Pairs(picture.colours)
    pairs.add(picture, [DenoisedPage(page // 2, {}, NoiseLevel([0.0]), scale) for page in picture.pages])
    return pairs


def test_crops_of_noisy_and_denoised_are_of_one_place(place):
    Image.fromarray(np.dstack([noisy_picture(128, 160), np.full([128, 160], 7, np.uint8)])).save("in/alpha.png")
    pairs = pages_of("in/a.png")
    picture = read_filled("in/alpha.png", None)
    pairs.add(picture, [DenoisedPage(picture.pages[0] // 2, {}, NoiseLevel([0.0]), Scale(0.0, 255.0))])
    crops, seen = PairCrops(*pairs.pages(), 32, seed=1), set()
    for m in range(40):
        before, after = np.split(crops[m], 2, axis=2)
        assert before.shape == after.shape == (32, 32, 3) and before.dtype == np.float32
        np.testing.assert_allclose(after, np.floor(before * 255 / 2 + 1e-3) / 255, atol=1e-6)
        seen.add(before.tobytes())
        np.testing.assert_array_equal(crops[m], PairCrops(*pairs.pages(), 32, seed=1)[m])
    assert len(seen) == 40


def test_crops_are_turned_and_mirrored_but_not_of_what_is_held_out(place):
    """All eight ways of a picture that grows downwards and, less, to the right."""
    rows, columns = np.mgrid[:128, :160]
    slope = rows + columns // 8
    slope[:, 128:] = 255  # what is held out
    Image.fromarray(slope.astype(np.uint8)).save("in/slope.png")
    pairs = pages_of("in/slope.png")
    (page,), _ = pairs.pages()
    ways = set()
    crops = PairCrops(*pairs.pages(), 64, seed=1)
    for m in range(100):
        crop = crops[m][..., 0] * 255
        assert crop.max() < 200
        down, right = crop[-1, 0] - crop[0, 0], crop[0, -1] - crop[0, 0]
        ways.add((down > 0, right > 0, abs(down) > abs(right)))
    assert len(ways) == 8 and page.parts.held_out == (0, 128, 128, 160)


def test_where_there_is_no_value_nothing_is_learned(place):
    values = np.random.default_rng(1).random((300, 280)).astype(np.float32)
    values[140:, 150:] = np.nan
    tifffile.imwrite("in/holes.tif", values)
    pairs = pages_of("in/holes.tif", white=1.0)
    noisy_pages, denoised_pages = pairs.pages()
    assert len(noisy_pages) >= 2 and all(min(page.pixels.shape[:2]) >= 128 for page in noisy_pages)
    assert all(np.isfinite(page.pixels).all() for page in noisy_pages)
    for one, other in zip(noisy_pages, denoised_pages, strict=True):
        assert one.parts == other.parts and one.pixels.shape == other.pixels.shape
        both = read_both(one, other, Region(0, 0, 32, 32))
        assert both.shape == (32, 32, 2)
        np.testing.assert_array_equal(both[..., 1], other.pixels[:32, :32, 0])


def test_of_many_and_large_pages_some_is_kept(place, monkeypatch):
    """The middle of large ones; pages spread over all; none of other colours, and none that is small."""
    monkeypatch.setattr(pairing, "_LARGEST_SIDE", 130)
    monkeypatch.setattr(pairing, "_MOST_PAGES", 4)
    pairs = Pairs(1)
    for i in range(19):
        pixels = np.full([140 if i else 100, 150, 1], i, np.uint8)
        np.save("in/page.npy", pixels[..., 0])
        picture = read_filled("in/page.npy", None)
        pairs.add(picture, [DenoisedPage(pixels, {}, NoiseLevel([0.0]), Scale(0.0, 255.0))])
    colours = read_filled("in/a.png", None)
    pairs.add(colours, [DenoisedPage(colours.pages[0], {}, NoiseLevel([0.0]), Scale(0.0, 255.0))])
    kept, _ = pairs.pages()
    assert all(page.pixels.shape == (130, 130, 1) for page in kept)
    assert [int(page.pixels[0, 0, 0]) for page in kept] == [1, 9, 17]  # 18 pages: every eighth


def test_nearness():
    assert psnr_of(0.01) == pytest.approx(20) and psnr_of(0.0) == math.inf and math.isnan(psnr_of(math.nan))


# --- the whole


def test_a_network_is_made_and_used(place, monkeypatch, capsys):
    """It comes nearer to what it learns from than the noisy pictures are; here that is the picture without its noise."""
    monkeypatch.setattr(held_out, "LARGEST_CROP", 64)  # for speed
    command = "--denoise in/a.png --network fresh.pickle --out out --distill 200 --save-network new/net.pickle"
    monkeypatch.setattr(distilling, "denoise_outputs", as_if_denoised)
    call(command, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Distilling fresh.pickle from 1 page: 200 crops"
    start = float(re.fullmatch(r" +0: valid_psnr= *(\d+\.\d{4})", lines[1])[1])
    checks = [re.fullmatch(r" +(\d+): psnr= *(\d+\.\d{4}), valid_psnr= *(\d+\.\d{4})", line) for line in lines[2:-1]]
    assert [int(match[1]) for match in checks] == list(range(20, 201, 20))
    said = re.fullmatch(
        r"Distilled: PSNR to the results (\S+) dB where held out, of the noisy pictures (\S+) dB"
        r"(; more crops bring it nearer)? -> new/net\.pickle", lines[-1],
    )  # fmt: skip
    assert f"{max(float(match[3]) for match in checks):.2f}" == said[1] and float(said[1]) > float(said[2]) + 1
    assert f"{start:.2f}" == said[2] and bool(said[3]) == (float(said[1]) < float(said[2]) + 3)
    assert float(said[2]) == pytest.approx(20.2, abs=0.5)  # sigma 25
    network, configuration = load_configured(place / "new" / "net.pickle")
    assert configuration == distilled_configuration(3)
    monkeypatch.undo()
    monkeypatch.chdir(place)
    call("--denoise in/a.png --network new/net.pickle --out again", monkeypatch)
    assert "no noise level needed" in capsys.readouterr().out
    found, clean = np.asarray(Image.open("again/a.png")), smooth_picture(128, 160, 0)
    assert psnr_of(np.mean((found - clean.astype(float)) ** 2) / 255**2) > float(said[2]) + 1


def as_if_denoised(_networks, outputs, _options, keep) -> None:
    """As a network that takes away all noise."""
    for output in outputs:
        picture = read_filled(output.source, None)
        clean = smooth_picture(*picture.pages[0].shape[:2], 0).clip(0, 255).astype(np.uint8)
        keep(picture, [DenoisedPage(clean, {}, NoiseLevel([0.0]), Scale(0.0, 255.0))])


def test_the_results_are_those_without_it(place, monkeypatch, capsys):
    """Sixteen bits: the file remembers black and white of the pictures. Grey ones give a network for one channel."""
    def distil(configuration, *_):
        return Distilled(fresh_network(configuration.name).variables, 30.0, 20.0)

    monkeypatch.setattr(loop, "distil", distil)
    stack = 16 * np.stack([noisy_picture(128, 128, i)[:, :, 0].astype(np.uint16) for i in range(2)])
    tifffile.imwrite("in/stack.tif", stack)
    for more in ("", "--distill 2 --save-network net.pickle"):
        call(f"--denoise in/stack.tif --network fresh.pickle --white 4095 --out out{len(more)} {more}", monkeypatch)
    one, other = sorted(Path().glob("out*/stack.tif"))
    np.testing.assert_array_equal(tifffile.imread(one), tifffile.imread(other))
    said = capsys.readouterr().out
    assert "from 2 pages: 2 crops" in said and "of the noisy pictures 20.00 dB -> net.pickle" in said
    network, configuration = load_configured("net.pickle")
    assert configuration.name == "real_gauss-n2c-mono" and network.static_kwargs["trained_on"]["white"] == 4095


@pytest.mark.parametrize("rate", [1e3, math.nan])
def test_what_learned_nothing_is_not_written(place, monkeypatch, capsys, rate):
    monkeypatch.setattr(held_out, "LARGEST_CROP", 32)
    monkeypatch.setattr(loop, "PEAK_RATE", rate)
    monkeypatch.setattr(distilling, "denoise_outputs", as_if_denoised)
    with pytest.raises(UserError, match=r"--distill: came no nearer to the results .* net\.pickle is not written"):
        call("--denoise in --network fresh.pickle --out out --distill 60 --save-network net.pickle", monkeypatch)
    assert not (place / "net.pickle").exists()


@pytest.mark.parametrize("broken", ["one", "all"])
def test_broken_files_are_left_out(place, monkeypatch, capsys, broken):
    """It is learned from the others, and the status is 1 as ever."""
    monkeypatch.setattr(loop, "distil", lambda c, *_: Distilled(fresh_network(c.name).variables, 30.0, 20.0))
    if broken == "one":
        (place / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    else:  # of all the first look says nothing is wrong
        monkeypatch.setattr(denoise_files, "_denoise_pages", lambda *_: (_ for _ in ()).throw(UserError("no")))
    with pytest.raises(UserError, match=r"1 of \d files skipped"):
        call("--denoise in --network fresh.pickle --out out --distill 60 --save-network net.pickle", monkeypatch)
    assert (place / "net.pickle").exists() == (broken == "one")


def test_what_computes_is_chosen(place, monkeypatch):
    """As asked for, or else what is fastest here."""
    found = []
    monkeypatch.setattr(loop, "training_options", lambda *given: found.append(given) or 1 / 0)
    monkeypatch.setattr(distilling, "denoise_outputs", as_if_denoised)
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    command = "--denoise in --network fresh.pickle --out out --distill 60 --save-network net.pickle"
    for more in ("", "--precision float32", "--precision bf16"):
        with pytest.raises(ZeroDivisionError):
            call(f"{command} {more}", monkeypatch)
    assert [computes for *_, computes, _ in found] == ["bf16", "float32", "bf16"]
    assert all(recipe["minibatch_size"] == MINIBATCH and images == 60 for recipe, images, *_ in found)


def test_where_nothing_was_taken_away_there_is_nothing_to_learn(place, monkeypatch):
    monkeypatch.setattr(loop, "distil", lambda *_: pytest.fail("the training has begun"))
    with pytest.raises(UserError, match="--distill: nothing to learn, for the results are the pictures as they were"):
        call("--denoise in --network fresh.pickle --sigma 0 --out out --distill 60 --save-network net.pickle", monkeypatch)
    assert (place / "out" / "a.png").exists() and not (place / "net.pickle").exists()


def test_ctrl_c_leaves_the_results_and_no_network(place):
    with listening_to_ctrl_c():
        command = "--denoise in --network fresh.pickle --out out --distill 100000 --save-network net.pickle"
        program = Program(place, SCRIPT, command)
    program.wait_for(r"Distilling ")
    program.process.send_signal(signal.SIGINT)
    assert program.ended().status == 130
    assert program.stderr.splitlines()[-1] == "Interrupted." and "Traceback" not in program.stderr
    assert [path.name for path in (place / "out").iterdir()] == ["a.png"] and not list(place.glob("net*"))


@pytest.mark.parametrize("name", ["real_gauss-n2c", "real_gauss-n2c-mono"])
def test_what_it_makes_can_be_exported_but_not_evaluated(place, monkeypatch, capsys, name):
    write_network(place / "plain.pickle", name)
    with pytest.raises(UserError, match=f"--eval plain.pickle: is a network of {name}, as --distill makes them"):
        call("--eval plain.pickle --validation-set in", monkeypatch)
    real = name.replace("n2c", "blindspot-sigma_global")
    write_network(place / "real.pickle", real)
    with pytest.raises(UserError, match=f"--compare-with plain.pickle: is a network of {name}"):
        call("--eval real.pickle --validation-set in --compare-with plain.pickle", monkeypatch)
    call("--export model --network plain.pickle", monkeypatch)
    assert (place / "model" / "saved_model.pb").exists()


@pytest.mark.parametrize("name", ["real_gauss-n2n", "real_gauss-blindspot_mean", "real_gauss-blindspot-sigma_known"])
def test_other_names_of_real_noise_are_none(name):
    with pytest.raises(ValueError, match="is no configuration"):
        Configuration.from_name(name)


DISTIL = "--out out --distill 5 --save-network net.pickle --denoise in/a.png --network"
WRONG_USE = [
    (f"{DISTIL} fresh.pickle --distill 0", "--distill 0: must be 1 or more"),
    ("--denoise in/a.png --network fresh.pickle --out out --distill 5", "--distill: needs --save-network FILE"),
    (f"{DISTIL} fresh.pickle --adapt 5", "--adapt and --distill do not go together"),
    (f"{DISTIL} plain.pickle", "--distill: a network of gauss25-n2c has no blind spot", "name another --network"),
    (f"{DISTIL} fresh.pickle --denoise in/low.png", "--distill: in/low.png is 200 x 127, and", "128 pixels or more"),
    (f"{DISTIL} fresh.pickle --denoise in/grey.png in/a.png", "--distill: in/grey.png is grey and in/a.png is RGB"),
    (f"{DISTIL} fresh.pickle --save-network ./fresh.pickle", "--save-network fresh.pickle: is the network that it would"),
    (f"{DISTIL} fresh.pickle --strength 0", "--strength 0 and --distill do not go together"),
    (f"{DISTIL} fresh.pickle --save-network net.png", "--save-network net.png", "ends in .pickle"),
    (f"{DISTIL} fresh.pickle --save-network folder.pickle", "--save-network folder.pickle: a folder is in the way"),
    (f"{DISTIL} fresh.pickle --save-network network-final-{KNOWN}.pickle", f"named as a network of {KNOWN}", "real_gauss"),
    ("--train real_gauss-n2c --train-h5 a.h5", "--train real_gauss-n2c: there is no such configuration"),
]


@pytest.mark.parametrize("case", WRONG_USE, ids=lambda case: case[0][-50:])
def test_wrong_use(place, monkeypatch, case):
    Image.fromarray(noisy_picture(127, 200)).save("in/low.png")
    Image.fromarray(noisy_picture(128, 160)[:, :, 0]).save("in/grey.png")
    write_network(place / "plain.pickle", "gauss25-n2c")
    (place / "folder.pickle").mkdir()
    before = sorted(place.rglob("*"))
    monkeypatch.setattr(distilling, "denoise_outputs", lambda *_: pytest.fail("the work has begun"))
    with pytest.raises(UserError) as caught:
        call(case[0], monkeypatch)
    assert all(words in str(caught.value) for words in case[1:]) and "\n" not in str(caught.value)
    assert sorted(place.rglob("*")) == before
