"""README and docs: their commands run, their links lead somewhere, and the options and files that they name exist.

Each command in a ```sh block is run in a folder of small inputs under the names that the pages use: trainings and
evaluations with `-n`, the others altogether. What cannot be run here is in NOT_RUN, with the reason.
"""

import importlib.util
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
from material import random_images, smooth_picture, write_bare_shard, write_network, write_picture

import dataset_tool_h5
import download_kodak
import selfsupervised_denoising
from dnnlib.denoising.network import shipped
from dnnlib.errors import UserError
from dnnlib.files import file_sha256

PROGRAM = Path(__file__).resolve().parent.parent
PAGES = [PROGRAM / "README.md", *sorted((PROGRAM / "docs").glob("*.md"))]
RUN = ("--train", "--eval", "--denoise", "--learn", "--export")
TOOLS = (
    "dataset_tool_h5.py", "download_kodak.py", "tools/launch.py", "tools/make_card.py", "benchmarks/real_noise.py",
    "benchmarks/recipe.py", "benchmarks/whiteness.py", "benchmarks/peers/classical.py", "benchmarks/peers/measure.py",
    "benchmarks/peers/crops.py",
)  # fmt: skip
PEER = "benchmarks/peers/n2v2.py"  # of an environment of its own
NOT_RUN = {
    "make": "installs, or takes minutes; but the target exists",
    ". .venv/bin/activate": "of the shell that it is typed into",
    "tensorboard": "serves until it is stopped",
    "python -c": "of TensorFlow alone",
    "python -m venv": "installs what another program needs",
    "peers/bin/python": "of that environment",
}
NETWORKS = ("gauss25-blindspot-sigma_known", "real_gauss-blindspot-sigma_global", "real_poissongauss-blindspot-sigma_global")
IMAGES = ("final", "00100000")  # of the network files' names
OTHERS_OPTIONS = {"--logdir", "--width", "--weight-decay"}  # of TensorBoard, and two examples of docs/extending.md
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(PROGRAM).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text("utf-8")) if found == language]


def commands() -> Iterator[tuple[str, str]]:
    """Yields each command in a ```sh block, continued lines joined, and its page."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            yield from ((" ".join(line.split()), name_of(page)) for line in lines if shlex.split(line, comments=True))


COMMANDS = dict(commands())  # each once, with one of its pages


def of(*starts: str) -> pytest.MarkDecorator:
    """The commands that begin with one of the words, as the parameter `command`."""
    found = [command for command in COMMANDS if command.startswith(starts)]
    assert found, starts
    return pytest.mark.parametrize("command", found, ids=lambda command: f"{COMMANDS[command]}: {command}")


def call(program: ModuleType, command: str, monkeypatch, *more: str) -> None:
    """Calls a script's `main` with the arguments of a line `python SCRIPT ARGUMENTS`."""
    _, *argv = shlex.split(command, comments=True)
    monkeypatch.setattr(sys, "argv", [*argv, *more])
    program.main()


def module_at(path: str) -> ModuleType:
    """A script that is in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, PROGRAM / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_12_bits(path: Path, side: int, seed: int = 0) -> None:
    """Writes a picture as a camera of 12 bits has it: in 16 bits, black 256, white 4095."""
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, 256 + 15 * smooth_picture(side, side, seed).astype(np.uint16), photometric="rgb")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with small inputs, under the names that the pages use."""
    folder = tmp_path_factory.mktemp("docs")
    for i in range(2):
        write_picture(folder / "photos" / f"{i}.png", 256, 260, i)
        write_picture(folder / "FOLDER_OF_400" / f"{i}.png", 256, 260, i)
        write_12_bits(folder / "camera" / f"{i}.tif", 256, i)
    dataset_tool_h5.main(["--noisy", f"--input-dir={folder / 'camera'}", f"--out={folder / 'camera.h5'}"])
    for name in ("datasets/kodak/kodim01.png", "my_pictures/a.png", "noisy/a.png", "clean/a.png"):
        write_picture(folder / name, 40, 60)
    write_picture(folder / "photo.png", 64, 64)
    write_picture(folder / "scans" / "a.jpg", 64, 64)
    write_12_bits(folder / "raw" / "a.tif", 64)
    write_12_bits(folder / "picture.tif", 256)
    np.save(folder / "stack.npy", np.broadcast_to(smooth_picture(64, 64)[..., 0], (1, 2, 2, 64, 64)))
    (folder / "packed").mkdir()
    for i in range(2):
        np.save(folder / "packed" / f"{i}.npy", np.repeat(smooth_picture(256, 260, i)[..., :1], 4, axis=2))
    for name in ("photos.h5", "bsds400.h5", "imagenet_val.h5", "shard.h5"):
        write_bare_shard(folder / name, random_images([(256, 256)]))
    (folder / "tests").symlink_to(PROGRAM / "tests")
    (folder / "pretrained").mkdir()
    write_network(folder / "pretrained" / f"{NETWORKS[0]}.pickle", NETWORKS[0])
    write_network(folder / "fast.pickle", "real_gauss-n2c")
    for name in NETWORKS:
        for images in IMAGES:
            write_network(folder / f"network-{images}-{name}.pickle", name)
    return folder


@pytest.fixture
def place(inputs, tmp_path, monkeypatch):
    """The working directory: the inputs, linked to; and the first of NETWORKS as the one that the program comes with."""
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(shipped, "FOLDER", inputs / "pretrained")
    row = {"sha256": file_sha256(inputs / "pretrained" / f"{NETWORKS[0]}.pickle"), "default": "rgb", "kodak": 30.0}
    monkeypatch.setattr(selfsupervised_denoising, "NETWORKS", {NETWORKS[0]: row})
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- commands


def test_every_command_is_either_run_or_known_not_to_be():
    run = (*(f"python selfsupervised_denoising.py {what}" for what in RUN), *(f"python {tool} " for tool in TOOLS))
    assert [command for command in COMMANDS if not command.startswith((*run, *NOT_RUN))] == []
    for start in NOT_RUN:
        assert any(command.startswith(start) for command in COMMANDS), f"{start} is not in the docs any more"


@of("python selfsupervised_denoising.py --train", "python selfsupervised_denoising.py --eval")
def test_trainings_and_evaluations(place, command, monkeypatch, capsys):
    if command.endswith("--resume"):  # all else is looked at before
        with pytest.raises(UserError, match="--resume: no run of .* in results"):
            call(selfsupervised_denoising, command, monkeypatch, "-n")
        return
    call(selfsupervised_denoising, command, monkeypatch, "-n")
    assert "Would run in results/" in capsys.readouterr().out
    assert not (place / "results").exists()


@of("python dataset_tool_h5.py")
def test_dataset_tool(place, command, monkeypatch):
    out = place / re.search(r"--out (\S+)", command)[1]
    out.unlink(missing_ok=True)  # the link
    call(dataset_tool_h5, command, monkeypatch)
    assert out.stat().st_size > 0 and not out.is_symlink()


@of("python selfsupervised_denoising.py --denoise")
def test_denoising(place, command, monkeypatch):
    (place / "camera").unlink()
    learning = next((option for option in ("--adapt", "--distill") if option in command), None)
    write_12_bits(place / "camera" / "a.tif", 128 if learning else 64)  # smaller than for a shard
    nothing_learned = pytest.raises(UserError, match="is not written") if learning == "--distill" else nullcontext()
    with nothing_learned:
        call(selfsupervised_denoising, command, monkeypatch, *([learning, "1"] if learning else []))
    assert list((place / "denoised").iterdir())


@of("python selfsupervised_denoising.py --export")
def test_export(place, command, monkeypatch):
    call(selfsupervised_denoising, command, monkeypatch)
    assert (place / "model" / "saved_model.pb").is_file()


@of("python download_kodak.py")
def test_download(place, command, monkeypatch):
    asked = []
    monkeypatch.setattr(download_kodak, "download_all", lambda folder, *_, **__: asked.append(folder))
    call(download_kodak, command, monkeypatch)
    assert asked == [Path("datasets/kodak")]


@of("python tools/launch.py")
def test_launcher_starts_what_runs(place, command, monkeypatch, capsys):
    launch, started = module_at("tools/launch.py"), []
    monkeypatch.setattr(launch, "enter_private_network", lambda: None)  # this process keeps its own
    monkeypatch.setattr(launch.signal, "signal", lambda *_: None)
    monkeypatch.setattr(launch.Job, "run", lambda _, workers: started.extend(workers) or [0])
    with pytest.raises(SystemExit) as ended:
        call(launch, command, monkeypatch)
    assert ended.value.code == 0 and started
    for worker in started:
        call(selfsupervised_denoising, shlex.join(worker), monkeypatch, "-n")
        assert "Would run in" in capsys.readouterr().out


@of("python benchmarks/real_noise.py")
def test_benchmark_of_real_noise_is_understood(command):
    module_at("benchmarks/real_noise.py").command_line().parse_args(shlex.split(command)[2:])


@of("python benchmarks/recipe.py")
def test_benchmark_of_recipes_is_understood(command):
    module_at("benchmarks/recipe.py").command_line().parse_args(shlex.split(command)[2:])


@of("python benchmarks/peers/")
def test_benchmark_beside_peers_is_understood(command):
    _, script, *argv = shlex.split(command)
    module_at(script).command_line().parse_args(argv)


@of("peers/bin/python")
def test_a_peer_is_understood(command):
    _, script, *argv = shlex.split(command)
    module_at(script).command_line().parse_args(argv)  # without the peer's packages


@of("make")
def test_make_has_the_target(command):
    target = shlex.split(command, comments=True)[1]
    assert re.search(rf"^{target}:.*##", (PROGRAM / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python(place, page):
    for block in blocks(page, "python"):
        names = {"noisy": smooth_picture(64, 64)}
        exec(block, names)
        assert names["clean"].shape == (64, 64, 3)


# --- what they name


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Those that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


def known_options() -> set[str]:
    """Of all our programs."""
    known = set(selfsupervised_denoising.command_line()._option_string_actions)
    for tool in (*TOOLS, PEER):
        known |= set(re.findall(r'"(--[a-z0-9-]+)"', (PROGRAM / tool).read_text("utf-8")))
    return known


def named_options(pages: list[Path]) -> set[str]:
    text = "\n".join(page.read_text("utf-8") for page in pages)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", re.sub(r"\(\S*#\S*\)", "", text)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_exists(page):
    assert named_options([page]) - known_options() - OTHERS_OPTIONS == set()


def test_every_option_of_the_program_is_explained():
    options = set(selfsupervised_denoising.command_line()._option_string_actions)
    pages = [page for page in PAGES if page.name != "SPEC.md"]
    assert {option for option in options if option.startswith("--")} - named_options(pages) == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "SPEC.md"], ids=name_of)
def test_every_file_of_ours_exists(page):
    paths = re.findall(r"`((?:dnnlib|config|tools|tests|benchmarks)(?:/[\w./]*)?)`", prose(page))
    for path in paths:
        assert (PROGRAM / path).exists(), path


CODE_PAGE = PROGRAM / "docs" / "code.md"
DENOISING = PROGRAM / "dnnlib" / "denoising"


def test_the_code_page_has_each_package_and_its_files():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", prose(CODE_PAGE), re.MULTILINE)
    assert {name for name, _ in rows} == {path.parent.name for path in DENOISING.glob("*/__init__.py")}
    for package, files in rows:
        there = sorted(path.name for path in (DENOISING / package).glob("*.py") if path.name != "__init__.py")
        assert sorted(re.findall(r"`([^`]+)`", files)) == there, package


def steps_of(walk: str) -> Iterator[tuple[str, str | None]]:
    """Yields the files of a walk through the code, each with the one that calls it: the last that is less indented."""
    above: list[str] = []
    for line in walk.splitlines():
        indent, path = re.match(r"( *)(\S+)", line).groups()
        assert len(indent) % 2 == 0 and len(indent) // 2 <= len(above), line
        above[len(indent) // 2 :] = [path]
        yield path, above[-2] if len(above) > 1 else None


def module_of(path: str) -> tuple[Path, str]:
    """Returns the file that a walk names, and its name for Python."""
    ours = path.startswith("dnnlib/") or (PROGRAM / path).is_file()
    file = PROGRAM / path if ours else DENOISING / path
    return file, ".".join(file.relative_to(PROGRAM).with_suffix("").parts)


def test_the_walks_through_the_code_can_be_walked():
    walks = [list(steps_of(block)) for block in blocks(CODE_PAGE, "text")]
    assert len(walks) == 2 and all(len(walk) > 15 for walk in walks)
    for path, caller in itertools.chain.from_iterable(walks):
        file, module = module_of(path)
        assert file.is_file(), path
        if caller is not None:
            package, _, name = module.rpartition(".")
            ways = f"import {module}|from {re.escape(module)} import|from {re.escape(package)} import .*\\b{name}\\b"
            assert re.search(ways, module_of(caller)[0].read_text("utf-8")), f"{caller} does not know {path}"


def test_nothing_was_left_to_fill_in():
    for page in PAGES:
        assert not re.search(r"@[A-Z_]+@|TODO|XXX", page.read_text("utf-8")), page
