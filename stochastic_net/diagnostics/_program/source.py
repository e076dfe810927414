"""Where in the user's code an equation of a program comes from."""

import functools
import linecache
import os
import pathlib
import traceback
from collections.abc import Iterable
from typing import NamedTuple

import jax
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.words import words

_HOUSE = str(pathlib.Path(__file__).parents[2]) + os.sep
_JAX = str(pathlib.Path(jax.__file__).parent) + os.sep
_STANDARD = str(pathlib.Path(os.__file__).parent) + os.sep


class Source(NamedTuple):
    """A line of the user's, and the function of a library that it calls."""

    file: str
    line: int
    function: str
    called: str = ""

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.line}" if self.line else "?"

    @property
    def code(self) -> str:
        """The text of the line, where it can still be read."""
        return linecache.getline(self.file, self.line).strip()


def shown(file: str) -> str:
    """A file by its name; a cell of a notebook has none that says anything."""
    name = os.path.basename(file)
    return "cell" if "ipykernel_" in file or name.startswith("<ipython") else name


NOWHERE = Source("", 0, "")


@functools.cache
def is_users(file: str) -> bool:
    """Whether a file is neither of a library nor of Python's own."""
    if file.startswith(("<frozen", "<string", "<attrs", "<string>")):
        return False
    ours = file.startswith((_HOUSE, _JAX, _STANDARD))
    return not ours and "site-packages" not in file and "dist-packages" not in file


def locate(calls: Iterable[JaxprEqn], eqn: JaxprEqn) -> Source:
    """The innermost line of the user's that makes an equation, through the `calls` it is inside.

    A program that is called is traced once and kept: its equations carry the lines of whoever
    called it first. The lines inside it are therefore used only where it is the user's own.
    """
    return _chain(calls, eqn)[0]


def _chain(calls: Iterable[JaxprEqn], eqn: JaxprEqn) -> tuple[Source, JaxprEqn]:
    found, made_by = NOWHERE, eqn
    for outer in (*calls, eqn):
        here = _innermost(outer)
        if here.line:
            found, made_by = here, outer
        if outer is not eqn and not _body_is_users(outer):
            break
    return found, made_by


def _innermost(eqn: JaxprEqn) -> Source:
    inner = None
    for frame in _frames(eqn):
        if is_users(frame.file_name):
            called = inner.function_name.rpartition("<locals>.")[2] if inner else ""
            return Source(frame.file_name, frame.line_num, frame.function_name, called)
        if not _is_machinery(frame):
            inner = frame
    return NOWHERE


def _frames(eqn: JaxprEqn) -> list:
    """Of the calls that made an equation, the innermost first."""
    found = eqn.source_info.traceback
    return list(found.frames) if found else []


def _is_machinery(frame) -> bool:
    """Frames of JAX that stand between the user and the function that they called."""
    return frame.function_name.startswith(("_run_python_pjit", "cache_miss", "reraise_with")) or (
        frame.function_name.endswith(("cache_miss", "reraise_with_filtered_traceback"))
    )


def _body_is_users(eqn: JaxprEqn) -> bool:
    """Whether what an equation calls is code of the user's, or a wrapper of Flax around it."""
    file = _file_of_body(eqn)
    return not file or is_users(file) or f"{os.sep}flax{os.sep}" in file


def is_jax(eqn: JaxprEqn) -> bool:
    """Whether what an equation calls is a function of JAX's."""
    return _file_of_body(eqn).startswith(_JAX)


def calls_users(eqn: JaxprEqn) -> bool:
    """Whether what an equation calls is a function of the user's."""
    return is_users(_file_of_body(eqn) or _JAX)


_DIRECT = words(
    """
    sqrt rsqrt log log2 log10 log1p reciprocal divide true_divide power float_power pow norm std
    arccos arcsin arctanh acos asin atanh cbrt div integer_pow
    """
)


def is_direct(calls: Iterable[JaxprEqn], eqn: JaxprEqn) -> bool:
    """Whether the user asks for this very operation, and not for a function that has it inside.

    Functions of libraries mostly know what they do at 0.
    """
    source, made_by = _chain(calls, eqn)
    for frame in _frames(made_by):
        if not frame.file_name.startswith(_JAX):
            if not is_users(frame.file_name):
                return False
            break
    name = source.called.rpartition(".")[2]
    return name in _DIRECT or "operator" in name or "binary_op" in name or name in ("bind", "")


_TREES = (f"{os.sep}tree_util.py", f"{os.sep}tree.py")  # jax.tree.map(stop_gradient, params)


def stops_exactly(eqn: JaxprEqn) -> bool:
    """Whether a stop_gradient is one of JAX's or Flax's own, which change no derivative.

    (A softmax takes its maximum off, a batch norm keeps its averages.)
    """
    frames = _frames(eqn)
    last = max((i for i, f in enumerate(frames) if f.function_name == "stop_gradient"), default=-1)
    if last + 1 >= len(frames) or last < 0:
        return False
    outside = (f for f in frames[last + 1 :] if not f.file_name.endswith(_TREES))
    file = next((f.file_name for f in outside), "")
    return file.startswith(_JAX) or f"{os.sep}flax{os.sep}" in file


def raised_at(error: BaseException) -> Source:
    """The user's line whose operation raised when it was differentiated.

    JAX raises with the traceback of the operation as the cause of the error.
    """
    found: BaseException | None = error
    source = NOWHERE
    while found is not None:
        frames = traceback.extract_tb(found.__traceback__)
        ours = [f for f in frames if is_users(f.filename) and f.lineno]
        if ours:
            source = Source(ours[-1].filename, ours[-1].lineno or 0, ours[-1].name)
        found = found.__cause__ or found.__context__
    return source


def samples(eqn: JaxprEqn) -> bool:
    """Whether what an equation calls is one of this library's samplers, or it is made by one."""
    made = next((f.file_name for f in _frames(eqn) if not f.file_name.startswith(_JAX)), "")
    return (_file_of_body(eqn) or made).startswith(_HOUSE + "random" + os.sep)


def name_of_rule(eqn: JaxprEqn) -> str:
    """The name of the function that an equation calls."""
    return _described(eqn).partition(" at ")[0]


def _file_of_body(eqn: JaxprEqn) -> str:
    return _described(eqn).rpartition(" at ")[2].rpartition(":")[0]


def _described(eqn: JaxprEqn) -> str:
    """The function that an equation calls, as "name at file:line"."""
    for name in ("jaxpr", "call_jaxpr", "body_jaxpr", "branches"):
        body = eqn.params.get(name)
        if body is None:
            continue
        body = body[0] if isinstance(body, tuple) else body
        info = getattr(getattr(body, "jaxpr", body), "debug_info", None)
        return getattr(info, "func_src_info", None) or ""
    return ""
