"""Networks that come with the program: the table and its files, how a name is taken, and that each gives what it gave."""

import hashlib
import json
import re
import shlex
import sys

import numpy as np
import pytest
from cards import PROGRAM, faults, make_card, recorded_psnr
from graphs import fresh_graph, random_variables
from material import smooth_picture, write_bare_shard, write_network, write_picture
from PIL import Image
from programs import run_here

import selfsupervised_denoising
from config import networks
from config.networks import NETWORKS
from config.validation_sets import VALIDATION_SETS
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.data.validation_set import open_validation_set
from dnnlib.denoising.inference import export
from dnnlib.denoising.network import shipped
from dnnlib.denoising.network.architecture import shapes_of
from dnnlib.denoising.network.network_file import to_network
from dnnlib.errors import UserError
from dnnlib.files import file_sha256
from dnnlib.tflib.network import Network, load_network, save_network

RGB, GREY, OTHER = "gauss25-n2c", "gauss25-n2c-mono", "gauss25-blindspot-sigma_known-mono"
MADE = "made-here"  # stands for a shipped network in the tests that are of each of them
CHECK = PROGRAM / make_card.CHECK


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of three untrained networks, in place of the program's own, and the folder with their files."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    rows = {}
    for name, default in ((RGB, "rgb"), (GREY, "grey"), (OTHER, "none")):
        digest = file_sha256(write_network(folder / f"{name}.pickle", name))
        rows[name] = {"sha256": digest, "default": default, "kodak": 31.125}
    ship(monkeypatch, folder, rows)
    monkeypatch.chdir(tmp_path)
    return rows


def ship(monkeypatch, folder, rows) -> None:
    """Puts a table and its files in the place of the program's own."""
    monkeypatch.setattr(shipped, "FOLDER", folder)
    for name in list(NETWORKS):
        monkeypatch.delitem(NETWORKS, name)
    for name, row in rows.items():
        monkeypatch.setitem(NETWORKS, name, row)


def call(arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["selfsupervised_denoising.py", *shlex.split(arguments)])
    selfsupervised_denoising.main()


# --- the table


def test_the_table_may_be_empty_or_have_rows():
    (header, *_), digest = networks._TABLE.strip().splitlines(), "0f" * 32
    assert networks._parse(header) == {}
    assert networks._parse(f"\n{header}\na-b  {digest}  rgb  31.1\nc  {digest}  none  30\n") == {
        "a-b": {"sha256": digest, "default": "rgb", "kodak": 31.1},
        "c": {"sha256": digest, "default": "none", "kodak": 30.0},
    }
    with pytest.raises(ValueError):
        networks._parse(f"{header}\na  {digest}  rgb")


def test_each_row_has_its_files_and_each_file_its_row():
    assert {name: found for name, row in NETWORKS.items() if (found := faults(name, row, shipped.FOLDER))} == {}
    assert {path.stem for path in shipped.FOLDER.glob("*.*")} == set(NETWORKS)
    defaults = [row["default"] for row in NETWORKS.values() if row["default"] != "none"]
    assert len(defaults) == len(set(defaults))
    if "rgb" in defaults:
        assert not shipped.default_networks(NETWORKS)["rgb"].endswith("-mono")


def test_a_fault_is_found(table, tmp_path):
    """What the last test looks for is really seen."""
    assert faults(RGB, table[RGB], tmp_path / "nowhere") == ["a file is missing"]
    (shipped.FOLDER / f"{RGB}.md").write_text("# A card\n\n## Training\n\n| images | 3 |\n")
    found = faults(RGB, table[RGB] | {"sha256": "0" * 64, "default": "blue"}, shipped.FOLDER)
    assert found == ["digest", "kind", "headings", "facts", "commit", "BSD300", "Kodak", "JPEGs", "check"]


# --- names


def test_a_file_wins_over_a_name(table, tmp_path):
    assert shipped.network_path(RGB, "--network", table) == shipped.FOLDER / f"{RGB}.pickle"
    (tmp_path / RGB).mkdir()  # a folder is no network file
    assert shipped.network_path(RGB, "--network", table) == shipped.FOLDER / f"{RGB}.pickle"
    (tmp_path / GREY).write_text("a file")
    assert shipped.network_path(GREY, "--network", table) == GREY
    assert shipped.network_path(tmp_path / GREY, "--network", {}) == tmp_path / GREY
    assert shipped.network_path(str(tmp_path), "--network", table) == str(tmp_path)


def test_what_is_neither_is_one_line_with_names(table):
    names = ", ".join(table)
    wrong = {
        "gauss25-n2": f"did you mean {RGB} or {GREY}? shipped are {names}",
        "zzz": f"no such shipped network; shipped are {names}",
    }
    for text, message in wrong.items():
        with pytest.raises(UserError, match=rf"^--eval {text}: there is no such file, .*{re.escape(message)}$"):
            shipped.network_path(text, "--eval", table)
    with pytest.raises(UserError, match=r"^--eval zzz: there is no such file; check the name$"):
        shipped.network_path("zzz", "--eval", {})


def test_a_file_that_is_not_what_was_shipped(table):
    path = shipped.FOLDER / f"{RGB}.pickle"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"^--network {RGB}: .*{RGB}.pickle is not the file that was .*git checkout"):
        shipped.network_path(RGB, "--network", table)
    path.unlink()
    with pytest.raises(UserError, match=rf"^--network {RGB}: .*{RGB}.pickle cannot be read \(No such file.*git checkout"):
        shipped.network_path(RGB, "--network", table)


def test_defaults_by_kind(table):
    assert shipped.default_networks(table) == {"rgb": RGB, "grey": GREY}
    assert shipped.default_networks({RGB: table[RGB], OTHER: table[OTHER]}) == {"rgb": RGB, "grey": RGB}
    assert shipped.default_networks({GREY: table[GREY]}) == {"rgb": GREY, "grey": GREY}
    assert shipped.default_networks({OTHER: table[OTHER]}) == shipped.default_networks({}) == {}


# --- the command line


def test_help_lists_what_there_is(table, monkeypatch):
    text = selfsupervised_denoising.command_line().format_help()
    assert re.search(rf"^  {RGB} +31.12 dB on Kodak, the default for RGB pictures$", text, re.MULTILINE)
    assert re.search(rf"^  {OTHER} +31.12 dB on Kodak$", text, re.MULTILINE)
    ship(monkeypatch, shipped.FOLDER, {})
    assert "networks that come with" not in selfsupervised_denoising.command_line().format_help()


def test_eval_and_export_take_names(table, monkeypatch, capsys):
    call(f"--eval {OTHER} --validation-set {CHECK} -n", monkeypatch)
    options, _ = capsys.readouterr().out.rstrip("\n").rsplit("\n", 1)
    found = json.loads(options)
    assert (found["eval"], found["network_sha256"], found["configuration"]) == (OTHER, table[OTHER]["sha256"], OTHER)
    taken = []
    monkeypatch.setattr(export, "export", lambda *arguments: taken.append(arguments))
    call(f"--export model --network {OTHER}", monkeypatch)
    assert taken == [(shipped.FOLDER / f"{OTHER}.pickle", "model", None)]


def test_a_training_starts_from_a_name(made_here, tmp_path, monkeypatch):
    write_bare_shard(tmp_path / "shard.h5", [smooth_picture(64, 64).transpose(2, 0, 1)])
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "set" / "a.png", 32, 32)
    text = f"--train {OTHER} --train-h5 shard.h5 --validation-set set --train-resolution 32 --num-iter 4 --init {{}}"
    with pytest.raises(UserError, match="--init zzz: there is no such file, and no such shipped network"):
        call(text.format("zzz"), monkeypatch)
    done = run_here(tmp_path, text.format(MADE) + " --learning-rate 1e-30")
    assert f"Starting from {tmp_path / MADE}.pickle ({OTHER})" in done.stdout
    (folder,) = (tmp_path / "results").glob("0*")
    assert json.loads((folder / "training_options.json").read_text())["options"]["init"] == MADE
    network = load_network(folder / f"network-final-{OTHER}.pickle")
    for name, value in network.variables.items():
        np.testing.assert_array_equal(value, made_here.variables[name], err_msg=name)


def test_without_a_default_a_network_must_be_named(table, monkeypatch):
    ship(monkeypatch, shipped.FOLDER, {OTHER: table[OTHER]})
    with pytest.raises(UserError, match=r"^--network is missing: name the network file"):
        call("--denoise a.png --out out", monkeypatch)


def test_a_level_that_a_default_does_not_take_is_refused(table, monkeypatch):
    with pytest.raises(UserError, match=f"^--sigma 25: a network of {RGB} needs no noise level"):
        call("--denoise a.png --out out --sigma 25", monkeypatch)


def test_each_picture_by_the_default_of_its_kind(table, tmp_path, monkeypatch, capsys):
    """Two RGB and two grey pictures: two networks, each made once and named once; the results are theirs."""
    from dnnlib.denoising.inference.denoiser import Denoiser  # late: it imports TensorFlow

    (tmp_path / "in").mkdir()
    pictures = {f"{i}.png": smooth_picture(40, 50, i)[:, :, slice(None) if i % 2 else 0] for i in range(4)}
    for file, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / "in" / file)
    made, init = [], Denoiser.__init__
    monkeypatch.setattr(Denoiser, "__init__", lambda self, *args: (made.append(args[1].name), init(self, *args))[1])
    call("--denoise in --out out", monkeypatch)
    assert made == [GREY, RGB]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in lines if "shipped" in line] == [
        f"grey pictures: by the shipped network {GREY}", f"RGB pictures: by the shipped network {RGB}",
    ]  # fmt: skip
    assert len(lines) == 6 and not any("repeated" in line for line in lines)
    for name, files in ((RGB, ("1.png", "3.png")), (GREY, ("0.png", "2.png"))):
        with Denoiser.load(name) as denoiser:
            for file in files:
                np.testing.assert_array_equal(np.asarray(Image.open(f"out/{file}")), denoiser(pictures[file])[0])


# --- what each gives


@pytest.fixture
def made_here(tmp_path, monkeypatch):
    """A network of random weights as one more row of the table; returns it."""
    configuration = Configuration.from_name(OTHER)
    network = to_network(configuration, random_variables(shapes_of(configuration), 2))
    save_network(network, tmp_path / f"{MADE}.pickle")
    digest = hashlib.sha256((tmp_path / f"{MADE}.pickle").read_bytes()).hexdigest()
    ship(monkeypatch, tmp_path, {MADE: {"sha256": digest, "default": "none", "kodak": 31.0}})
    return network


def psnr_of(network: Network) -> float:
    """The PSNR of a network of OTHER on the pictures of CHECK, without the command line."""
    from dnnlib.denoising.evaluation.added_noise import Validation  # late: they import TensorFlow
    from dnnlib.tflib.replicas import Replicas
    from dnnlib.tflib.runtime import create_session, initialize

    pictures = open_validation_set(str(CHECK), None, VALIDATION_SETS)
    with fresh_graph():
        evaluation = Validation(Configuration.from_name(OTHER), Replicas())
        with create_session() as session:
            initialize(session, network.variables)
            return evaluation.validate(session, pictures).means()["valid_psnr_pme"]


def evaluated(name: str, folder) -> float:
    """The PSNR that `--eval NAME` records on the pictures of CHECK."""
    run_here(folder, f"--eval={name} --validation-set={CHECK} --result-dir=results")
    (record,) = (folder / "results").glob("_eval/*/stats.jsonl")
    return json.loads(record.read_text())["valid_psnr_pme"]


@pytest.mark.isa
@pytest.mark.parametrize("name", NETWORKS)
def test_each_gives_what_its_card_says(name, tmp_path):
    assert evaluated(name, tmp_path) == pytest.approx(recorded_psnr((shipped.FOLDER / f"{name}.md").read_text()), abs=1e-3)


def test_a_network_made_here_gives_what_is_its_own(made_here, tmp_path):
    """The test above, also where nothing is shipped: what it compares is that network's, and no other's."""
    expected = psnr_of(made_here)
    assert evaluated(MADE, tmp_path) == pytest.approx(expected, abs=1e-3)
    made_here.variables["nin_c/W"] = 1.1 * made_here.variables["nin_c/W"]
    assert abs(psnr_of(made_here) - expected) > 1e-3
