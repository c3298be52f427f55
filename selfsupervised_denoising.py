#!/usr/bin/env python3
"""Trains and evaluates self-supervised denoising networks (Laine et al., NeurIPS 2019)."""

import argparse
import dataclasses
import difflib
import json

from config.configurations import CONFIGURATIONS
from config.validation_sets import VALIDATION_SETS
from dnnlib.command_line import CommandLine
from dnnlib.denoising.configuration import Configuration
from dnnlib.denoising.options import TrainingOptions
from dnnlib.errors import UserError, run_script

KNOWN = {Configuration(*(row[key] for key in ("noise_style", "pipeline", "noise_params", "diagonal", "channels"))).name: row
         for row in CONFIGURATIONS}

EXAMPLES = """\
examples:
  # train on a shard made by dataset_tool_h5.py, validate on Kodak
  python selfsupervised_denoising.py --train=gauss25-blindspot-sigma_known --train-h5=imagenet_val.h5 --dataset-dir=datasets

  # evaluate a network file on BSD300
  python selfsupervised_denoising.py --eval=network-final-gauss25-blindspot-sigma_known.pickle --dataset-dir=datasets --validation-set=bsd300

configurations:
"""


def command_line() -> CommandLine:
    parser = CommandLine(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES + "\n".join(f"  {name}" for name in KNOWN),
    )
    what = parser.add_argument_group("what to do (one of)")
    what.add_argument("--train", metavar="CONFIG", help="train a configuration (list below)")
    what.add_argument("--eval", metavar="FILE", help="evaluate a network file (.pickle); none of its code is run")

    data = parser.add_argument_group("data")
    data.add_argument("--train-h5", metavar="FILE", help="training shard, made by dataset_tool_h5.py")
    data.add_argument("--dataset-dir", metavar="DIR", help="folder that holds the validation sets")
    data.add_argument("--validation-set", metavar="SET", default="kodak",
                      help=f"{', '.join(VALIDATION_SETS)}, or a folder of your own pictures (default: kodak)")

    run = parser.add_argument_group("run")
    run.add_argument("--result-dir", metavar="DIR", default="results", help="where run directories are made (default: results)")
    run.add_argument("-n", "--dry-run", action="store_true", help="print the resolved options and the run's name, and stop")

    d = TrainingOptions()
    training = parser.add_argument_group("training (defaults: the published settings; counts are of images)")
    training.add_argument("--num-iter", metavar="N", type=int, help="length of the schedule (default: the configuration's)")
    training.add_argument("--minibatch-size", metavar="N", type=int, help=f"images a step (default: {d.minibatch_size})")
    training.add_argument("--learning-rate", metavar="RATE", type=float, help=f"of Adam, at its peak (default: {d.learning_rate:g})")
    training.add_argument("--train-resolution", metavar="PX", type=int,
                          help=f"side of the crops; below 128 the network fails on whole pictures (default: {d.train_resolution})")
    training.add_argument("--print-interval", metavar="N", type=int, help=f"between printed lines (default: {d.print_interval})")
    training.add_argument("--eval-interval", metavar="N", type=int, help=f"between validations (default: {d.eval_interval})")
    training.add_argument("--snapshot-every", metavar="N", type=int,
                          help="between network files; 0: only the final one (default: the configuration's)")
    training.add_argument("--precision", metavar="P",
                          help=f"of the convolutions: float32, or bf16 where the device is fast at it (default: {d.precision})")
    training.add_argument("--seed", metavar="N", type=int, help=f"of weights, order, crops and noise (default: {d.seed})")
    return parser


def main() -> None:
    args = command_line().parse_args()
    if not args.train and not args.eval:
        raise UserError("nothing to do: give --train CONFIG or --eval FILE; see --help")
    if args.train and args.eval:
        raise UserError("--train and --eval do not go together: give one of them")
    if args.train:
        train(args)
    else:
        evaluate(args)


def train(args: argparse.Namespace) -> None:
    if args.train not in KNOWN:
        close = difflib.get_close_matches(args.train, KNOWN, n=3, cutoff=0.3)
        raise UserError(f"--train {args.train}: no such configuration; did you mean {' or '.join(close) or 'one of those --help lists'}?")
    configuration = Configuration.from_name(args.train)
    given = {f.name: getattr(args, f.name) for f in dataclasses.fields(TrainingOptions) if getattr(args, f.name) is not None}
    published = {"num_iter": KNOWN[args.train]["images"], "snapshot_every": KNOWN[args.train]["snapshot"]}
    options = TrainingOptions(**(published | given))
    options.check()
    if not args.train_h5:
        raise UserError("--train-h5 is missing: the training shard; make one with dataset_tool_h5.py")

    from dnnlib.denoising.run_name import describe_training
    from dnnlib.denoising.shard import Shard
    from dnnlib.submission.run_dir import check_result_dir, create_run_dir

    validation_set = find_validation_set(args)
    shard = Shard(args.train_h5, options.train_resolution)
    resolved = {"train": args.train, **common_options(args), "train_h5": args.train_h5, **dataclasses.asdict(options)}
    description = describe_training(
        validation_set=args.validation_set, **fields_of(configuration), num_iter=options.num_iter,
        minibatch_size=options.minibatch_size, learning_rate=options.learning_rate, train_resolution=options.train_resolution,
    )
    check_result_dir(args.result_dir)
    if args.dry_run:
        return print_plan(resolved, args.result_dir, description)
    validation_set.check()
    shard.check()

    from dnnlib.denoising.training_loop import train as training_loop
    from dnnlib.submission.run_context import RunContext

    run_dir = create_run_dir(args.result_dir, description)
    with RunContext(run_dir, f"train {args.train}", resolved) as run:
        run.write_options()
        print(f"Training {args.train} on {len(shard)} images for {options.num_iter} images, in {run_dir}")
        path = training_loop(configuration, options, shard, validation_set, run)
        print(f"Network written to {path}")


def evaluate(args: argparse.Namespace) -> None:
    from dnnlib.denoising.network_configuration import load_configured
    from dnnlib.denoising.run_name import describe_evaluation
    from dnnlib.submission.run_dir import check_result_dir, create_run_dir

    validation_set = find_validation_set(args)
    network, configuration = load_configured(args.eval)
    resolved = {"eval": args.eval, **common_options(args), "configuration": configuration.name}
    published = KNOWN.get(configuration.name, {"images": TrainingOptions.num_iter})
    description = describe_evaluation(
        configuration=configuration.name, validation_set=args.validation_set, **fields_of(configuration), num_iter=published["images"]
    )
    result_dir = f"{args.result_dir}/_eval"
    check_result_dir(result_dir)
    if args.dry_run:
        return print_plan(resolved, result_dir, description)
    validation_set.check()

    from dnnlib.denoising.evaluation_loop import evaluate as evaluation_loop
    from dnnlib.submission.run_context import RunContext

    run_dir = create_run_dir(result_dir, description)
    with RunContext(run_dir, f"eval {args.eval}", resolved) as run:
        run.write_options(name="evaluation_options.json")
        print(f"Evaluating {args.eval} ({configuration.name}) on {args.validation_set}, in {run_dir}")
        evaluation_loop(network, configuration, validation_set, run)
        print(f"Pictures written to {run_dir / 'img'}")


def find_validation_set(args: argparse.Namespace):
    from dnnlib.denoising.validation_set import open_validation_set

    return open_validation_set(args.validation_set, args.dataset_dir, VALIDATION_SETS)


def common_options(args: argparse.Namespace) -> dict:
    return {"dataset_dir": args.dataset_dir, "validation_set": args.validation_set, "result_dir": args.result_dir}


def fields_of(c: Configuration) -> dict:
    return {"channels": c.channels, "noise_style": c.noise_style, "pipeline": c.pipeline,
            "noise_params": c.noise_params, "diagonal": c.diagonal}


def print_plan(resolved: dict, result_dir: str, description: str) -> None:
    print(json.dumps(resolved, indent=2))
    print(f"Would run in {result_dir}/<id>-{description}")


if __name__ == "__main__":
    run_script(main)
