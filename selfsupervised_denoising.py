#!/usr/bin/env python3
"""Trains and evaluates self-supervised denoising networks (Laine et al., NeurIPS 2019), and denoises pictures with them."""

import argparse
import dataclasses
import difflib
import os

from config.configurations import CONFIGURATIONS, REAL_CONFIGURATIONS
from config.validation_sets import VALIDATION_SETS
from dnnlib.command_line import CommandLine
from dnnlib.denoising.configuration import Configuration, check_hole_size
from dnnlib.denoising.inference.options import DenoisingOptions
from dnnlib.denoising.options import NEWEST, TrainingOptions
from dnnlib.errors import UserError, run_script
from dnnlib.tflib.layout import Layout, layout_from

FIELDS = ("noise_style", "pipeline", "noise_params", "diagonal", "channels")
PUBLISHED, REAL = (
    {Configuration(*map(row.get, FIELDS)).name: row for row in table} for table in (CONFIGURATIONS, REAL_CONFIGURATIONS)
)

EPILOG = """\
examples:
  # train on a shard made by dataset_tool_h5.py, validate on Kodak
  python selfsupervised_denoising.py --train=gauss25-blindspot-sigma_known \\
      --train-h5=imagenet_val.h5 --dataset-dir=datasets

  # evaluate a network file on BSD300
  python selfsupervised_denoising.py --eval=network-final-gauss25-blindspot-sigma_known.pickle \\
      --dataset-dir=datasets --validation-set=bsd300

  # denoise your own pictures; the noise level is estimated where the network must be told it
  python selfsupervised_denoising.py --denoise photo.png scans/ 'raw/*.tif' \\
      --network network-final-gauss25-blindspot-sigma_known.pickle --out denoised

  # a SavedModel for TensorFlow Serving and tf.saved_model.load
  python selfsupervised_denoising.py --export model --network network-final-gauss25-blindspot-sigma_known.pickle

  # learn from pictures that are noisy already, nothing clean exists (docs/real-noise.md)
  python dataset_tool_h5.py --noisy --input-dir camera --out camera.h5
  python selfsupervised_denoising.py --train=real_poissongauss-blindspot-sigma_global \\
      --train-h5=camera.h5 --noise-init=estimate

configurations for pictures that are noisy already:
"""
PUBLISHED_ONES = "\n\nconfigurations (noise, network, what it knows of the noise):\n"



def command_line() -> CommandLine:
    parser = CommandLine(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG + PUBLISHED_ONES.join("\n".join(f"  {name}" for name in table) for table in (REAL, PUBLISHED)),
    )
    what = parser.add_argument_group("what to do (one of)")
    what.add_argument("--train", metavar="CONFIG", help="train a configuration (list below)")
    what.add_argument("--eval", metavar="FILE", help="evaluate a network file (.pickle); none of its code is run")

    what.add_argument(
        "--denoise", metavar="INPUT", nargs="+",
        help="denoise pictures: files, folders, patterns; PNG, JPEG, TIFF, WebP, .npy, each written back as it was",
    )
    what.add_argument("--export", metavar="DIR", help="write the network as a SavedModel into a new folder")
    add_denoising_options(parser.add_argument_group("denoising"))

    data = parser.add_argument_group("data")
    data.add_argument("--train-h5", metavar="FILE", help="training shard, made by dataset_tool_h5.py")
    data.add_argument("--dataset-dir", metavar="DIR", help="folder that holds the validation sets")
    data.add_argument(
        "--validation-set", metavar="SET",
        help=f"{', '.join(VALIDATION_SETS)}, or a folder of your own clean pictures (default: kodak); to evaluate a network "
        "of real noise: a folder of noisy pictures, or a shard",
    )
    data.add_argument(
        "--reference-dir", metavar="DIR",
        help="for real noise: clean pictures, named as the noisy ones to validate on, to measure PSNR and SSIM against",
    )

    run = parser.add_argument_group("run")
    run.add_argument("--result-dir", metavar="DIR", default="results", help="where run directories go (default: results)")
    run.add_argument(
        "--resume", metavar="RUN_DIR", nargs="?", const=NEWEST,
        help="with the same command again: go on with a run that was cut off (default: the newest of the configuration); "
        "auto: if there is one, else begin a new one",
    )
    run.add_argument("-n", "--dry-run", action="store_true", help="print the resolved options and the run's name, and stop")

    devices = parser.add_argument_group("devices (default: all GPUs of this machine, or else its CPU)")
    devices.add_argument("--num-gpus", metavar="N", type=int, help="GPUs to use; 0: the CPU")
    devices.add_argument("--cpu-devices", metavar="N", type=int, help="split the CPU into so many devices, for tests")
    devices.add_argument(
        "--precision", metavar="P",
        help="what convolutions compute in: float32, bf16, or auto, which for --train is bf16 where that is faster and as "
        "good, in a resumed run what it began with, and else float32 (default: auto)",
    )
    devices.add_argument("--workers", metavar="HOST:PORT,...", help="all processes of a job (default: from TF_CONFIG)")
    devices.add_argument("--task", metavar="K", type=int, help="which of them this is; the first, 0, is the one that writes")
    devices.add_argument(
        "--worker-timeout", metavar="S", type=float,
        help=f"seconds after which a silent worker is lost, and all end with status 75 (default: {Layout.worker_timeout:g})",
    )

    add_training_options(parser.add_argument_group("training (counts are of images, not steps)"))
    return parser


def add_denoising_options(group) -> None:
    group.add_argument("--network", metavar="FILE", help="network file (.pickle), for --denoise and --export")
    group.add_argument("--out", metavar="DIR", help="folder for the results, which keep their names; made if it is missing")
    levels = "for networks of sigma_known (default: estimated from each picture)"
    group.add_argument("--sigma", metavar="S", type=float, help=f"Gaussian noise, of 255 whatever the type; {levels}")
    group.add_argument("--lambda", metavar="L", type=float, help="Poisson noise: the count that white stands for")
    group.add_argument("--alpha", metavar="A", type=float, help="impulse noise: share of the pixels replaced, 0 to 1")
    group.add_argument(
        "--white", metavar="V", type=float,
        help="the value that stands for white, e.g. 4095 for 12 bits in 16 (default: the type's largest; 1.0 for floats)",
    )
    group.add_argument("--black", metavar="V", type=float, help="the value that stands for black, of raw data (default: 0)")
    group.add_argument(
        "--tile", metavar="PX", type=int,
        help="denoise in tiles of this side; 0: in one piece; the result is the same (default: as memory allows)",
    )
    group.add_argument("--std", action="store_true", default=None, help="write the predicted standard deviation, too")
    group.add_argument("--compare", action="store_true", default=None, help="write noisy and denoised side by side, too")


def add_training_options(group) -> None:
    """The fields of TrainingOptions as options; one that is not given stays None, and its default is taken there."""
    d = TrainingOptions

    def add(name: str, metavar: str, kind: type, meaning: str, default: str) -> None:
        group.add_argument(name, metavar=metavar, type=kind, help=f"{meaning} (default: {default})")

    add("--num-iter", "N", int, "length of the schedule", "the configuration's, 2000000 for most")
    add("--minibatch-size", "N", int, "images a step", f"{d.minibatch_size}")
    add("--microbatch-size", "N", int, "of these so many at a time: less memory", "1 on a CPU, all on a GPU")
    add("--learning-rate", "RATE", float, "of Adam, at its peak", f"{d.learning_rate:g}")
    add("--train-resolution", "PX", int, "side of the crops; below 128 whole pictures suffer", f"{d.train_resolution}")
    add("--print-interval", "N", int, "images between printed lines", f"{d.print_interval}")
    add("--eval-interval", "N", int, "images between validations", f"{d.eval_interval}")
    add("--snapshot-every", "N", int, "images between network files; 0: only the final one", "the configuration's")
    add("--noise-init", "HOW", str, "start of sigma_global: zero, or estimate (from noisy crops)", d.noise_init)
    add("--hole-size", "PX", int, "side of the blind spot; 3, 5 or 7 for noise that neighbours share", f"{d.hole_size}, or, "
        "for --eval, --denoise and --export, which may take a smaller one, as trained")
    add("--max-skips", "N", int, "so many steps in a row without finite gradients end the run", f"{d.max_skips}")
    add("--state-interval", "N", int, "images between states to resume from", f"{d.state_interval}")
    add("--state-minutes", "MIN", float, "minutes between them, if that is sooner", f"{d.state_minutes:g}")
    add("--seed", "N", int, "of weights, order, crops and noise", f"{d.seed}")


ACTIONS = ("train", "eval", "denoise", "export")
FOR_DENOISING = ("out", "sigma", "lambda", "alpha", "tile", "std", "compare")
TRAINING_OPTIONS = [field.name for field in dataclasses.fields(TrainingOptions)]
FOR_DATA = ("train_h5", "dataset_dir", "validation_set", "reference_dir", "num_gpus", "cpu_devices", "precision")
FOR_SCALE = ("white", "black")
_ELSEWHERE_TOO = ("hole_size", "precision")  # options of a training that other actions have, too
FOR_TRAINING = ("resume", "workers", "task", "worker_timeout", *(o for o in TRAINING_OPTIONS if o not in _ELSEWHERE_TOO))


def main() -> None:
    args = command_line().parse_args()
    action = chosen_action(args)
    if action == "denoise":
        denoise(args)
        return
    if action == "export":
        from dnnlib.denoising.inference.export import export  # late: it imports NumPy

        export(args.network, args.export, args.hole_size)
        return
    if args.resume == "":
        raise UserError("--resume: the name of the run directory is empty")
    configuration, options = training_options(args) if args.train else (None, None)
    if args.train and not args.train_h5:
        raise UserError("--train-h5 is missing: name the training shard; dataset_tool_h5.py makes one")

    from dnnlib.denoising import commands  # late: it imports h5py and Pillow

    environ = os.environ if args.train else {}  # TF_CONFIG names the workers of a training
    layout = layout_from(environ, args.num_gpus, args.cpu_devices, args.workers, args.task, args.worker_timeout)
    place = commands.Place(args.dataset_dir, args.validation_set, args.result_dir, args.dry_run, args.reference_dir)
    if args.train:
        commands.train(configuration, options, args.train_h5, args.resume, place, layout, VALIDATION_SETS)
    else:
        schedules = {name: row["images"] for name, row in (PUBLISHED | REAL).items()}
        scale = {name: getattr(args, name) for name in FOR_SCALE if getattr(args, name) is not None}
        commands.evaluate(args.eval, schedules, place, layout, VALIDATION_SETS, args.hole_size, scale, args.precision)


def chosen_action(args: argparse.Namespace) -> str:
    """The one of ACTIONS that is given. Raises UserError unless it is one, with no option that is for another."""
    given = [name for name in ACTIONS if getattr(args, name) is not None]
    if not any(getattr(args, name) for name in given):
        raise UserError("nothing to do: give --train CONFIG, --eval FILE, --denoise INPUT or --export DIR; see --help")
    if len(given) > 1:
        raise UserError(f"--{given[0]} and --{given[1]} do not go together: give one of them")
    (action,) = given
    for_network = action in ("denoise", "export")
    others = [("train", FOR_TRAINING, action != "train"), ("denoise", FOR_DENOISING, action != "denoise")]
    others += [("train and --eval", FOR_DATA, for_network), ("denoise and --export", ("network",), not for_network)]
    others += [("denoise and --eval", FOR_SCALE, action in ("train", "export"))]
    for owner, names, refused in others:
        for name in names if refused else ():
            if getattr(args, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} is for --{owner}, not for --{action}: leave it out")
    if for_network and args.dry_run:
        raise UserError(f"--dry-run is for --train and --eval, not for --{action}: leave it out")
    if for_network and not args.network:
        raise UserError("--network is missing: name the network file (.pickle)")
    return action


def denoise(args: argparse.Namespace) -> None:
    if not args.out:
        raise UserError("--out is missing: name the folder for the results")
    level = {"sigma": args.sigma, "lam": vars(args)["lambda"], "alpha": args.alpha}
    options = DenoisingOptions(
        args.network, args.out, **level, white=args.white, black=args.black or 0.0, tile=args.tile,
        std=bool(args.std), compare=bool(args.compare), hole_size=args.hole_size,
    )  # fmt: skip
    options.check()
    from dnnlib.denoising.inference import denoise_files  # late: it imports NumPy and Pillow

    denoise_files.denoise(args.denoise, options)


def training_options(args: argparse.Namespace) -> tuple[Configuration, TrainingOptions]:
    """What is given on the command line, over the configuration's published schedule, over the defaults."""
    table = PUBLISHED | REAL
    if args.train not in table:
        close = difflib.get_close_matches(args.train, table, n=3, cutoff=0.3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see --help for their names"
        raise UserError(f"--train {args.train}: there is no such configuration; {hint}")
    row = table[args.train]
    given = {name: getattr(args, name) for name in TRAINING_OPTIONS if getattr(args, name) is not None}
    options = TrainingOptions(**({"num_iter": row["images"], "snapshot_every": row["snapshot"]} | given))
    configuration = Configuration.from_name(args.train)
    estimable = configuration.noise.real or configuration.noise.family == "gauss"
    if options.noise_init == "estimate" and not (configuration.noise_params == "global" and estimable):
        raise UserError(f"--noise-init estimate is for sigma_global, of Gaussian or of real noise, not for {args.train}")
    options.check()
    check_hole_size(configuration, options.hole_size)
    if configuration.noise.real and args.validation_set is not None:
        raise UserError(
            f"--validation-set is not for {args.train}: it is validated on the shard's held-out pictures; leave it out"
        )
    if args.reference_dir is not None and not configuration.noise.real:
        raise UserError(f"--reference-dir is for real_ configurations, not for {args.train}: leave it out")
    return dataclasses.replace(configuration, hole_size=options.hole_size), options


if __name__ == "__main__":
    run_script(main)
