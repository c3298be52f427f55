"""The benchmark beside peers: all rows are measured in the same way, of pictures that belong together."""

import csv
import json
import math

import numpy as np
import pytest
from material import smooth_picture
from PIL import Image
from programs import FOLDER

from benchmarks.peers import classical, crops, measure, n2v2
from benchmarks.peers.measuring import as_markdown, matched, read_rows
from benchmarks.peers.measuring import measure as measured
from dnnlib.denoising.pictures.images import to_float
from dnnlib.errors import UserError

NOISY, CLEAN, RESULT = "noisy", "clean", "result"


def write(path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    """Two pictures: off by 4 and by 8 everywhere, and results that are off by 2 and by 1."""
    for name, noise, left in (("a.x", 4, 2), ("b", 8, 1)):
        clean = smooth_picture(40, 50, noise) // 2 + 40
        write(tmp_path / CLEAN / f"{name}.png", clean)
        write(tmp_path / NOISY / f"{name}.PNG", clean + np.uint8(noise))
        write(tmp_path / RESULT / f"{name}.png", clean - np.uint8(left))
    return tmp_path / NOISY, tmp_path / CLEAN, tmp_path / RESULT


def decibels(difference: float) -> float:
    return 20 * math.log10(255 / difference)


def test_psnr_and_its_gain_are_means_over_pictures(folders):
    found = measured(*folders)
    gains = decibels(2) - decibels(4), decibels(1) - decibels(8)
    assert found.psnr == pytest.approx((decibels(2) + decibels(1)) / 2)
    assert found.gain.mean == pytest.approx(sum(gains) / 2)
    low, high = found.gain.low, found.gain.high  # of means of what is drawn from the two gains
    assert gains[0] - 1e-9 < low < found.gain.mean < high < gains[1] + 1e-9
    assert found.pictures == 2 and found.ssim_gain.mean > 0 and found.ssim < 1


def test_the_noisy_pictures_gain_nothing_over_themselves(folders):
    found = measured(folders[0], folders[1], folders[0])
    assert found.psnr == pytest.approx((decibels(4) + decibels(8)) / 2)
    assert found.gain == (0, 0, 0) and found.ssim_gain == (0, 0, 0)


def test_what_was_removed_is_missed(folders):
    (folders[2] / "b.png").unlink()
    with pytest.raises(UserError, match="noisy has a picture b and .*result has none"):
        measured(*folders)


def test_what_nobody_knows_is_named(folders):
    write(folders[2] / "c.png", smooth_picture(40, 50))
    with pytest.raises(UserError, match="result has a picture c and .*noisy has none"):
        measured(*folders)


def test_two_of_one_name_are_told(folders):
    write(folders[2] / "b.jpg", smooth_picture(40, 50))
    with pytest.raises(UserError, match="result has two pictures of the name b"):
        list(matched(*folders))


def test_other_sizes_are_told(folders):
    write(folders[2] / "b.png", smooth_picture(40, 51))
    with pytest.raises(UserError, match="b has different sizes in the three folders: 50x40 and 50x40 and 51x40"):
        measured(*folders)


def test_an_empty_folder_is_told(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no picture in .*empty"):
        measured(*folders[:2], tmp_path / "empty")


# --- the table


def row(folders, out, *more: str) -> None:
    noisy, clean, _ = map(str, folders)
    measure.main(["--noisy", noisy, "--clean", clean, "--out", str(out), "--machine", "M", "--date", "2000-01-01", *more])


def test_a_row_is_written_and_replaced(folders, tmp_path, capsys):
    out, result = tmp_path / "results.csv", ["--result", str(folders[2]), "--method", "half, of it"]
    row(folders, out)
    (folders[2] / "seconds.json").write_text(json.dumps({"train": 1200.0, "denoise": 7.0}))
    row(folders, out, *result)
    row(folders, out, *result, "--denoise-seconds", "9")
    noisy, half = csv.DictReader(out.read_text().splitlines())
    assert noisy["method"] == "noisy" and noisy["gain"] == "0.000" and noisy["train_seconds"] == ""
    assert half["method"] == "half, of it" and half["train_seconds"] == "1200" and half["denoise_seconds"] == "9"
    assert (half["machine"], half["date"], half["pictures"]) == ("M", "2000-01-01", "2")
    gain = (decibels(2) - decibels(4) + decibels(1) - decibels(8)) / 2
    assert float(half["gain"]) == pytest.approx(gain, abs=0.0005)
    table = as_markdown(read_rows(out)).splitlines()
    assert table[2].startswith(f"| noisy | {(decibels(4) + decibels(8)) / 2:.2f} |") and f"{gain:+.2f} (" in table[3]
    assert table[3].endswith("| 20 min | 9 s |") and len({line.count("|") for line in table}) == 1
    assert "\n".join(table) in capsys.readouterr().out


def test_a_result_needs_a_name(folders, tmp_path):
    with pytest.raises(UserError, match="give --method"):
        row(folders, tmp_path / "results.csv", "--result", str(folders[2]))


def test_another_table_is_left_alone(folders, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="other.csv is no table of results"):
        row(folders, tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_the_table_in_the_docs_is_that_of_the_results():
    page = (FOLDER / "docs" / "real-noise.md").read_text("utf-8")
    assert f"\n\n{as_markdown(read_rows(measure.RESULTS))}\n\n" in page


# --- methods without learning

SIGMA = 10


@pytest.fixture
def noisy_folder(tmp_path):
    """A slow wave with white noise, 128 x 128: for the estimates, which need flat patches."""
    y, x = np.mgrid[:128, :128][:, :, :, np.newaxis]
    clean = np.broadcast_to(128 + 40 * np.sin(x / 40) + 20 * np.cos(y / 50), (128, 128, 3))
    noise = SIGMA * np.random.default_rng(0).standard_normal(clean.shape)
    write(tmp_path / CLEAN / "a.png", np.rint(clean).astype(np.uint8))
    write(tmp_path / NOISY / "a.png", np.rint(clean + noise).astype(np.uint8))
    return tmp_path / NOISY


@pytest.mark.parametrize("estimate", classical.ESTIMATES)
@pytest.mark.parametrize("method", classical.METHODS)
def test_a_method_takes_half_of_the_noise_away(noisy_folder, tmp_path, method, estimate):
    """What is slow is kept and what is not is noise: to halve its std, 6 dB, is the least that a smoothing does."""
    out = tmp_path / "out"
    said = classical.denoise_folder(noisy_folder, out, method, estimate)
    assert said.startswith("out: 1 pictures, sigma ")
    assert set(json.loads((out / "seconds.json").read_text())) == {"train", "denoise"}
    found = measured(noisy_folder, tmp_path / CLEAN, out)
    assert found.gain.mean > 6


def test_an_estimate_of_shared_noise_is_not_that_of_white_noise():
    """Noise that is summed up over 2 x 2 pixels and brought back to sigma 10: of the diagonal Haar coefficients those of one
    pixel have the std 10 / 2, those of two pixels 10 * 1.25."""
    noise = np.random.default_rng(0).standard_normal((257, 257, 3))
    shared = (noise[1:, 1:] + noise[1:, :-1] + noise[:-1, 1:] + noise[:-1, :-1]) / 2
    pixels = (0.5 + SIGMA / 255 * shared).astype(np.float32)
    white, ours = (255 * function(pixels) for function in classical.ESTIMATES.values())
    assert white < 0.75 * SIGMA < ours


def test_without_noise_a_picture_stays(tmp_path):
    pixels = to_float(smooth_picture(64, 64))
    assert classical.denoised(pixels, 0.0, classical.METHODS["nlm"]) is pixels


# --- N2V2, as far as it needs no other environment


def test_pictures_are_read_and_written_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write(tmp_path / "a.png", pixels)
    (read,) = n2v2.read([tmp_path / "a.png"], tmp_path)
    assert read.shape == (3, 20, 30) and read.dtype == np.float32
    n2v2.write(tmp_path / "b.png", read - np.float32(0.4))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels)
    n2v2.write(tmp_path / "b.png", read * 3 - 200)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), np.clip(pixels.astype(int) * 3 - 200, 0, 255))


def test_pictures_that_cannot_be_trained_on_are_told(tmp_path):
    with pytest.raises(UserError, match="--noisy: no picture"):
        n2v2.main([f"--noisy={tmp_path}", f"--out={tmp_path / 'out'}"])
    write(tmp_path / "a.png", smooth_picture(20, 30))
    write(tmp_path / "b.png", smooth_picture(30, 20))
    with pytest.raises(UserError, match="several sizes"):
        n2v2.main([f"--noisy={tmp_path}", f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


# --- the picture of crops


def test_crops_stand_where_they_belong(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)
    for folder, value in ((NOISY, pixels), (RESULT, 255 - pixels), (CLEAN, pixels // 2)):
        write(tmp_path / folder / "a:b.png", value)
    arguments = [f"--noisy={tmp_path / NOISY}", f"--clean={tmp_path / CLEAN}", f"--results=N={tmp_path / RESULT}"]
    crops.main([*arguments, f"--out={tmp_path / 'sheet.png'}", "--crops", "a:b:0:0", "a:b:34:24"])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    step = crops.SIDE * crops.TIMES + crops.GAP
    assert sheet.shape == (crops.HEAD + 2 * step, 3 * step - crops.GAP, 3)
    second = sheet[crops.HEAD + step :: crops.TIMES][: crops.SIDE]
    for column, value in enumerate((pixels, 255 - pixels, pixels // 2)):
        shown = second[:, column * step :: crops.TIMES][:, : crops.SIDE]
        assert np.array_equal(shown, value[24 : 24 + crops.SIDE, 34 : 34 + crops.SIDE])
    assert np.array_equal(sheet[:: crops.TIMES][: crops.HEAD // crops.TIMES].min(), 0)  # names are written there


@pytest.mark.parametrize("crop, reason", [("a:35:0", "not all within"), ("b:0:0", "no picture b"), ("a:0", "give PICTURE")])
def test_a_crop_that_cannot_be(tmp_path, crop, reason):
    for folder in (NOISY, CLEAN):
        write(tmp_path / folder / "a.png", smooth_picture(120, 130))
    arguments = [f"--noisy={tmp_path / NOISY}", f"--clean={tmp_path / CLEAN}", f"--out={tmp_path / 'sheet.png'}"]
    with pytest.raises(UserError, match=reason):
        crops.main([*arguments, "--crops", crop])
    assert not (tmp_path / "sheet.png").exists()
