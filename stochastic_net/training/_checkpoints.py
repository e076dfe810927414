"""Save and restore a state with orbax: whole or not at all, and checked bit by bit."""

import hashlib
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from stochastic_net._types import PyTree
from stochastic_net.training._errors import InputError

_HINT = "Delete that folder to go on from the checkpoint before."


class Checkpoints:
    """The last checkpoints of one mode, in `folder/STEP/`.

    Orbax writes into a temporary folder and renames it, so that a process killed while it saves
    leaves no half checkpoint. No format that orbax writes notices a flipped bit; so a manifest with
    the SHA-256 of each array lies beside them and is compared when they are read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False),
        )

    def save(self, step: int, state: PyTree) -> None:
        """Write the state, unless this step is saved already."""
        if step in self._manager.all_steps():
            return
        arrays = _by_name(state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(arrays), manifest=ocp.args.JsonSave(_manifest(arrays))
            ),
        )

    def latest(self) -> int | None:
        """The last step that was saved."""
        return self._manager.latest_step()

    def restore(self, step: int, like: PyTree) -> PyTree:
        """The state of that step, with the structure and the placement of `like`.

        Raises:
          InputError: the files are damaged, or hold another network.
        """
        template = _by_name(like)
        try:
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(jax.tree.map(_abstract, template)),
                    manifest=ocp.args.JsonRestore(),
                ),
            )
        except Exception as error:  # orbax and tensorstore raise many types, all for a bad file
            raise InputError(
                f"checkpoint {self._folder / str(step)} cannot be read: {_first_line(error)}. "
                f"{_HINT}"
            ) from error
        if _manifest(found["state"]) != found["manifest"]:
            raise InputError(
                f"checkpoint {self._folder / str(step)} is damaged: its arrays are not those that "
                f"were saved. {_HINT}"
            )
        return jax.tree.unflatten(
            jax.tree.structure(like), [found["state"][name] for name in template]
        )

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()


def _by_name(state: PyTree) -> dict[str, jax.Array]:
    """The leaves under names that sort in the order of the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {
        f"{i:04d}.{jax.tree_util.keystr(path, simple=True, separator='.')}": leaf
        for i, (path, leaf) in enumerate(leaves)
    }


def _manifest(arrays: dict[str, jax.Array]) -> dict[str, dict]:
    return {name: _fingerprint(np.asarray(array)) for name, array in arrays.items()}


def _fingerprint(array: np.ndarray) -> dict:
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
    }


def _abstract(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
