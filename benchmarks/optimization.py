"""What learning the ISP costs a training step, in one run.

    python -m benchmarks.optimization [--size 120] [--batch 32] [--repeat 12] [--threads 2]

A step develops a batch, asks a ResNet18, and updates what is learned. Learned against frozen, and
against learned with the steps of the ISP run one by one by PyTorch (the engine "eager"). The three
take turns; CPU time of the fastest of each.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import rawdrift as rd
from rawdrift.models import networks
from rawdrift.models.chain import Develop
from rawdrift.models.input_gradient import cheap


def step(learned: bool, engine: str, size: int, batch: int, bf16: bool) -> Callable[[], None]:
    """One training step, with everything that it works on made here."""
    torch.manual_seed(0)
    camera = rd.Camera.load("raw-drone")
    develop = Develop.parametrized("bi,s,ga", [camera], "luma").requires_grad_(learned)
    net = networks.build("resnet18", 9).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([*net.parameters()], lr=1e-4)
    if learned:
        optimizer.add_param_group({"params": [*develop.parameters()], "lr": 1e-4})
    mosaics = torch.rand(batch, size, size).mul(0.5).add(0.1)
    index = torch.zeros(batch, dtype=torch.long)
    truth = torch.arange(batch) % 9

    def run() -> None:
        optimizer.zero_grad()
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=bf16)
        with rd.isp.engine(engine), cheap(net), mixed:  # as a training does
            views = develop(mosaics, index).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(net(views), truth)
        loss.backward()
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=120)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="the network in mixed precision")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    kinds = {
        "frozen": (False, "auto"),
        "learned": (True, "auto"),
        "learned, eager": (True, "eager"),
    }
    steps = {n: step(*kind, args.size, args.batch, args.bf16) for n, kind in kinds.items()}
    best = dict.fromkeys(steps, float("inf"))
    for turn in range(args.repeat + 1):
        for name, run in steps.items():
            started = time.process_time()
            run()
            if turn:  # the first time kernels are compiled
                best[name] = min(best[name], time.process_time() - started)
    print(f"{args.batch} mosaics of {args.size}x{args.size}, {args.threads} threads")
    for name, seconds in best.items():
        print(f"{name:16} {1000 * seconds:8.1f} ms   {seconds / best['frozen']:.2f} of frozen")


if __name__ == "__main__":
    main()
