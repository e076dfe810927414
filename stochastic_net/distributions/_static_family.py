"""Families with a field that is no array: a size that the shapes of the parameters do not tell."""

import dataclasses
from typing import Any, ClassVar, Self

import jax
from jax.typing import DTypeLike

from stochastic_net._types import Shape
from stochastic_net.distributions._family import Family, _checked


class StaticFamily(Family):
    """A `Family` whose fields that are not declared by `parameter` are static.

    They are part of the pytree's structure: a function that is jitted is compiled anew for each of
    their values. A subclass checks them in `_check`.
    """

    _statics: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs) -> None:
        object.__init_subclass__(**kwargs)  # Family's would take every field for a parameter
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        fields: Any = dataclasses.fields(cls)  # pyrefly: ignore
        cls._fields = {f.name: f.metadata["rule"] for f in fields if "rule" in f.metadata}
        cls._statics = tuple(f.name for f in fields if "rule" not in f.metadata)
        cls.__init__ = _checked(cls.__init__)
        names = tuple(cls._fields)
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda d: (
                tuple((jax.tree_util.GetAttrKey(n), getattr(d, n)) for n in names),
                d._static(),
            ),
            lambda static, leaves: _with_fields(cls, static, zip(names, leaves, strict=True)),
            lambda d: (tuple(getattr(d, n) for n in names), d._static()),
        )

    def _static(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._statics)

    def _spread(self, batch: Shape) -> Self:
        wide = super()._spread(batch)
        return _with_fields(type(self), self._static(), _parameters(wide))

    def _astype(self, dtype: DTypeLike) -> Self:
        cast = super()._astype(dtype)
        return _with_fields(type(self), self._static(), _parameters(cast))


def _parameters(family: Family) -> list[tuple[str, Any]]:
    return [(name, getattr(family, name)) for name in family._fields]


def _with_fields(cls: type[StaticFamily], static: tuple[Any, ...], fields: Any) -> Any:
    family = object.__new__(cls)
    for name, value in (*zip(cls._statics, static, strict=True), *fields):
        object.__setattr__(family, name, value)
    return family
