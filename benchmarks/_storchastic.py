"""The same estimators in Storchastic, in PyTorch: gradients of one function, and their time."""

import time

import numpy as np

JOINT = ("score_function", "leave_one_out")  # the others take coins one by one themselves


def methods():
    """By our name a maker of theirs, with as many evaluations of f."""
    from storch.method import ARM, REBAR, DisARM, GumbelSoftmax, ScoreFunction

    hard = {"straight_through": True, "initial_temperature": 0.5, "min_temperature": 0.5}
    return {
        "score_function": lambda: ScoreFunction("z", n_samples=2, baseline_factory=None),
        "leave_one_out": lambda: ScoreFunction("z", n_samples=2, baseline_factory="batch_average"),
        "arm": lambda: ARM("z", n_samples=1),
        "disarm": lambda: DisARM("z", n_samples=1),
        "rebar": lambda: REBAR("z", n_samples=1),
        "gumbel_softmax": lambda: GumbelSoftmax("z", n_samples=1, **hard),
    }


def gradients(name, matrix, target, logits, draws):
    """Gradients of E |matrix z - target|^2 in the logits, and the seconds of one."""
    import storch
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    a, y = torch.tensor(matrix), torch.tensor(target)
    theta = torch.tensor(logits, requires_grad=True)
    method = methods()[name]()
    found, times = [], []
    for _ in range(draws):
        start = time.perf_counter()
        theta.grad = None
        coins = torch.distributions.Bernoulli(logits=theta)
        joint = name in JOINT
        z = method(torch.distributions.Independent(coins, 1) if joint else coins)
        cost = ((z.float() @ a.T - y) ** 2).sum(-1)
        storch.add_cost(cost, "cost")
        storch.backward()
        times.append(time.perf_counter() - start)
        found.append(theta.grad.detach().numpy().copy())
    return np.array(found), float(np.median(times))
