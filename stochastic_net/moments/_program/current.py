"""What is in force while a program is run, for rules that are deep inside."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Current(Generic[T]):
    """A value that holds within a `with` block, in its thread."""

    def __init__(self, name: str, default: T) -> None:
        self._variable: contextvars.ContextVar[T] = contextvars.ContextVar(name, default=default)

    def get(self) -> T:
        """The value that holds."""
        return self._variable.get()

    @contextmanager
    def being(self, value: T) -> Iterator[None]:
        """With that value."""
        token = self._variable.set(value)
        try:
            yield
        finally:
            self._variable.reset(token)
