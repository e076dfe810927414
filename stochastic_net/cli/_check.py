"""`stochastic-net check`: the gradients of a function in a file, or of a trained run."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from stochastic_net import training
from stochastic_net.diagnostics import GradientReport, check_gradients


def check_run(run: Path, seed: int) -> list[GradientReport]:
    """Of the parameters in each mode of a run that uses the variances."""
    reports = []
    for index, mode in enumerate(training.trained(run)):
        key = jax.random.fold_in(jax.random.key(seed), index)
        print(f"mode {mode.mode}")
        reports.append(check_gradients(mode.objective, mode.params, mode.batch, key=key, argnums=0))
        print(reports[-1])
    return reports


def check_function(target: str, args: str, seed: int) -> list[GradientReport]:
    """Of the function FILE.py:NAME at the arguments that the file gives under the name `args`."""
    path, _, name = target.rpartition(":")
    if not path or not name:
        raise training.InputError(f"{target}: expected FILE.py:FUNCTION.")
    file = Path(path)
    if not file.is_file():
        raise training.InputError(f"{path}: no such file.")
    print(f"running the code of {path}", file=sys.stderr)
    module = _load(file)
    function, given = _get(module, name, file), _arguments(module, args, file)
    try:
        report = check_gradients(function, *given, key=jax.random.key(seed))
    except TypeError as error:
        raise training.InputError(f"{target}: {error}") from error
    print(report)
    return [report]


def _load(file: Path) -> ModuleType:
    """Run a file as a module of its own; what lies beside it can be imported, as by `python`."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise training.InputError(f"{file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise training.InputError(f"{file}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _get(module: ModuleType, name: str, file: Path) -> Callable:
    found = getattr(module, name, None)
    if not callable(found):
        raise training.InputError(f"{file} has no function {name}.")
    return found


def _arguments(module: ModuleType, name: str, file: Path) -> tuple:
    """A tuple or list is the arguments, anything else the only one; a function makes them."""
    found: Any = getattr(module, name, None)
    if found is None:
        raise training.InputError(
            f"{file} has no {name}: give there the arguments to check at, a tuple or a function "
            f"that returns one, or say with --args how it is called."
        )
    found = found() if inspect.isfunction(found) else found
    if isinstance(found, Mapping):
        return (found,)
    return tuple(found) if isinstance(found, tuple | list) else (found,)
