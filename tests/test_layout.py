"""Devices and workers as the command line and TF_CONFIG name them."""

import json

import pytest

from dnnlib.command_line import CommandLine
from dnnlib.errors import UserError
from dnnlib.tflib.layout import Layout, layout_from


def layout(environ=None, **given):
    """What the options, as they are on the command line, and a TF_CONFIG give."""
    parser = CommandLine()
    parser.add_options([Layout])
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return layout_from({"TF_CONFIG": json.dumps(environ)} if environ else {}, parser.parse_given(words))


def test_one_process():
    assert layout() == Layout() and layout().chief
    assert layout(num_gpus=0, cpu_devices=4) == Layout(num_gpus=0, cpu_devices=4)


def test_workers_of_the_command_line():
    found = layout(workers="a:1,[::1]:2,a:3", task=1, worker_timeout=7)
    assert (found.workers, found.task, found.chief, found.worker_timeout) == (("a:1", "[::1]:2", "a:3"), 1, False, 7)


def test_workers_of_tf_config():
    cluster = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    for kind, index, task in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        found = layout({"cluster": cluster, "task": {"type": kind, "index": index}})
        assert (found.workers, found.task) == (("c:1", "a:1", "b:1"), task)
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert layout(alone) == Layout()
    assert layout(alone, workers="x:1,y:1", task=0).workers == ("x:1", "y:1")  # the command line counts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_gpus": -1}, "--num-gpus -1"),
        ({"cpu_devices": 0}, "--cpu-devices 0"),
        ({"cpu_devices": 65}, "--cpu-devices 65"),
        ({"cpu_devices": 2}, "give --num-gpus 0 with it"),
        ({"num_gpus": 0, "cpu_devices": 2, "workers": "a:1,b:1", "task": 0}, "do not go together"),
        ({"workers": "", "task": 0}, "an empty name is no host:port"),
        ({"workers": "a:1,b", "task": 0}, "b is no host:port"),
        ({"workers": "a:1,b:0", "task": 0}, "b:0 is no host:port"),
        ({"workers": "a:1,b:65536", "task": 0}, "b:65536 is no host:port"),
        ({"workers": "a:1,a:1", "task": 0}, "named twice"),
        ({"workers": "a:1,b:1"}, "--task is missing"),
        ({"workers": "a:1,b:1", "task": 2}, "--task 2: there are 2 workers"),
        ({"workers": "a:1,b:1", "task": -1}, "--task -1"),
        ({"task": 1}, "--task is for --workers"),
        ({"worker_timeout": 0.5}, "--worker-timeout 0.5"),
        ({"worker_timeout": float("nan")}, "--worker-timeout nan"),
        ({"environ": {"cluster": {"worker": ["a:1", "b:1"]}}}, "TF_CONFIG"),
        ({"environ": {"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "ps", "index": 0}}}, "only workers"),
        ({"environ": [1]}, "TF_CONFIG"),
    ],
)
def test_what_cannot_be(given, message):
    with pytest.raises(UserError) as caught:
        layout(**given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_minibatch_must_divide():
    for microbatch in (0, 1, 2):
        Layout().check_minibatch(4, microbatch, 2)
    with pytest.raises(UserError, match="--minibatch-size 4 cannot be dealt out to 3 devices"):
        Layout().check_minibatch(4, 0, 3)
    with pytest.raises(UserError, match="--microbatch-size 4: each of 2 devices has 2 images a step"):
        Layout().check_minibatch(4, 4, 2)
