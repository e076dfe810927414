"""Read a user's own measurements, and refuse what a network could not learn from."""

from pathlib import Path

import numpy as np

from stochastic_net.training._errors import InputError

# Training squares the means and raises the variances to eight times their size, in float32.
_LARGEST_MEAN, _LARGEST_VAR = 1e15, 1e30
_NAMES = ("mean", "var", "label")
_WANTED = "an .npz file with the arrays mean, var and label (numpy.savez)"


def read_measurements(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance, float32 of shape (examples, height, width, channels), and labels.

    Raises:
      InputError: the file is missing, is no whole .npz file, holds Python objects, lacks an array,
        or an array has a wrong shape, dtype or value. Pickled objects are never loaded.
    """
    arrays = _read(path)
    mean, var, label = arrays["mean"], arrays["var"], arrays["label"]
    _check_images(path, mean, var)
    _check_labels(path, label, len(mean))
    if mean.ndim == 3:
        mean, var = mean[..., None], var[..., None]
    return mean.astype(np.float32), var.astype(np.float32), label.astype(np.int64)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; data is digits, mnist5k or {_WANTED}.")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise InputError(f"{path} holds a single array; expected {_WANTED}.")
            missing = [name for name in _NAMES if name not in archive.files]
            if missing:
                raise InputError(
                    f"{path} lacks {', '.join(missing)}; it holds "
                    f"{', '.join(archive.files) or 'nothing'}, expected {_WANTED}."
                )
            return {name: archive[name] for name in _NAMES}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many types, all for a bad file
        if "pickle" in str(error):
            raise InputError(
                f"{path} holds no .npz archive of numbers but text or pickled Python objects, "
                f"which could run any code and are never loaded; expected {_WANTED}."
            ) from None
        raise InputError(f"{path} is damaged or is not an .npz file: {error}") from None


def _check_images(path: Path, mean: np.ndarray, var: np.ndarray) -> None:
    for name, array in (("mean", mean), ("var", var)):
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: {name} must hold real numbers, got dtype {array.dtype}.")
    if mean.shape != var.shape:
        raise InputError(
            f"{path}: mean and var must have one shape, got {mean.shape} and {var.shape}."
        )
    if mean.ndim not in (3, 4) or min(mean.shape) < 1 or min(mean.shape[1:3]) < 4:
        raise InputError(
            f"{path}: mean must have the shape (examples, height, width) or (examples, height, "
            f"width, channels) with a height and width of at least 4, got {mean.shape}."
        )
    for name, array, limit in (("mean", mean, _LARGEST_MEAN), ("var", var, _LARGEST_VAR)):
        wrong = ~(np.abs(array) < limit)
        if wrong.any():
            raise InputError(
                f"{path}: {name} must be finite in float32 and smaller than {limit:g}; "
                f"{wrong.sum()} of {wrong.size} entries are not, the first at index "
                f"{_first(wrong)}. Are they large? Use another unit."
            )
    if (var < 0).any():
        first = _first(var < 0)
        raise InputError(
            f"{path}: var must not be negative, {(var < 0).sum()} of {var.size} entries are, the "
            f"first is {var[first]} at index {first}. A variance is a squared standard deviation."
        )


def _check_labels(path: Path, label: np.ndarray, examples: int) -> None:
    if label.shape != (examples,):
        raise InputError(
            f"{path}: label must have one entry per example, shape ({examples},), got "
            f"{label.shape}."
        )
    if label.dtype.kind not in "iu" or label.min() < 0:
        raise InputError(
            f"{path}: label must hold whole numbers from 0 up, got dtype {label.dtype}"
            f"{f' and minimum {label.min()}' if label.dtype.kind == 'i' else ''}."
        )


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
