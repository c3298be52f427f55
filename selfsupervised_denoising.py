#!/usr/bin/env python3
"""Trains and evaluates self-supervised denoising networks (Laine et al., NeurIPS 2019)."""

import argparse
import dataclasses
import difflib
import os

from config.configurations import CONFIGURATIONS
from config.validation_sets import VALIDATION_SETS
from dnnlib.command_line import CommandLine
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import NEWEST, TrainingOptions
from dnnlib.errors import UserError, run_script
from dnnlib.tflib.layout import Layout, layout_from

FIELDS = ("noise_style", "pipeline", "noise_params", "diagonal", "channels")
PUBLISHED = {Configuration(*map(row.get, FIELDS)).name: row for row in CONFIGURATIONS}

EPILOG = """\
examples:
  # train on a shard made by dataset_tool_h5.py, validate on Kodak
  python selfsupervised_denoising.py --train=gauss25-blindspot-sigma_known \\
      --train-h5=imagenet_val.h5 --dataset-dir=datasets

  # evaluate a network file on BSD300
  python selfsupervised_denoising.py --eval=network-final-gauss25-blindspot-sigma_known.pickle \\
      --dataset-dir=datasets --validation-set=bsd300

configurations (noise, network, what it knows of the noise):
"""


def command_line() -> CommandLine:
    parser = CommandLine(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG + "\n".join(f"  {name}" for name in PUBLISHED),
    )
    what = parser.add_argument_group("what to do (one of)")
    what.add_argument("--train", metavar="CONFIG", help="train a configuration (list below)")
    what.add_argument("--eval", metavar="FILE", help="evaluate a network file (.pickle); none of its code is run")

    data = parser.add_argument_group("data")
    data.add_argument("--train-h5", metavar="FILE", help="training shard, made by dataset_tool_h5.py")
    data.add_argument("--dataset-dir", metavar="DIR", help="folder that holds the validation sets")
    data.add_argument(
        "--validation-set", metavar="SET", default="kodak",
        help=f"{', '.join(VALIDATION_SETS)}, or a folder of your own clean pictures (default: kodak)",
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
    devices.add_argument("--workers", metavar="HOST:PORT,...", help="all processes of a job (default: from TF_CONFIG)")
    devices.add_argument("--task", metavar="K", type=int, help="which of them this is; the first, 0, is the one that writes")
    devices.add_argument(
        "--worker-timeout", metavar="S", type=float,
        help=f"seconds after which a silent worker is lost, and all end with status 75 (default: {Layout.worker_timeout:g})",
    )

    add_training_options(parser.add_argument_group("training (counts are of images, not steps)"))
    return parser


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
    add("--max-skips", "N", int, "so many steps in a row without finite gradients end the run", f"{d.max_skips}")
    add("--state-interval", "N", int, "images between states to resume from", f"{d.state_interval}")
    add("--state-minutes", "MIN", float, "minutes between them, if that is sooner", f"{d.state_minutes:g}")
    add("--seed", "N", int, "of weights, order, crops and noise", f"{d.seed}")


def main() -> None:
    args = command_line().parse_args()
    if not args.train and not args.eval:
        raise UserError("nothing to do: give --train CONFIG or --eval FILE; see --help")
    if args.train and args.eval:
        raise UserError("--train and --eval do not go together: give one of them")
    if args.eval:
        training = [field.name for field in dataclasses.fields(TrainingOptions)]
        for name in ["resume", "workers", "task", "worker_timeout", *training]:
            if getattr(args, name) is not None:
                raise UserError(f"--{name.replace('_', '-')} is for --train, not for --eval: leave it out")
    if args.resume == "":
        raise UserError("--resume: the name of the run directory is empty")
    configuration, options = training_options(args) if args.train else (None, None)
    if args.train and not args.train_h5:
        raise UserError("--train-h5 is missing: name the training shard; dataset_tool_h5.py makes one")

    from dnnlib.denoising import commands  # late: it imports h5py and Pillow

    environ = os.environ if args.train else {}  # TF_CONFIG names the workers of a training
    layout = layout_from(environ, args.num_gpus, args.cpu_devices, args.workers, args.task, args.worker_timeout)
    place = commands.Place(args.dataset_dir, args.validation_set, args.result_dir, args.dry_run)
    if args.train:
        commands.train(configuration, options, args.train_h5, args.resume, place, layout, VALIDATION_SETS)
    else:
        schedules = {name: row["images"] for name, row in PUBLISHED.items()}
        commands.evaluate(args.eval, schedules, place, layout, VALIDATION_SETS)


def training_options(args: argparse.Namespace) -> tuple[Configuration, TrainingOptions]:
    """What is given on the command line, over the configuration's published schedule, over the defaults."""
    if args.train not in PUBLISHED:
        close = difflib.get_close_matches(args.train, PUBLISHED, n=3, cutoff=0.3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see --help for their names"
        raise UserError(f"--train {args.train}: there is no such configuration; {hint}")
    row = PUBLISHED[args.train]
    names = [field.name for field in dataclasses.fields(TrainingOptions)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    options = TrainingOptions(**({"num_iter": row["images"], "snapshot_every": row["snapshot"]} | given))
    configuration = Configuration.from_name(args.train)
    if options.noise_init == "estimate" and (configuration.noise_params, configuration.noise.family) != ("global", "gauss"):
        raise UserError(f"--noise-init estimate is for Gaussian noise and sigma_global, not for {args.train}")
    options.check()
    return configuration, options


if __name__ == "__main__":
    run_script(main)
