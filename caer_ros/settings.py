# SPDX-License-Identifier: Apache-2.0
"""Settings that describe themselves: one declaration serves ROS parameters, YAML files and docs.

A room declares a frozen dataclass whose fields are made with `setting`; nested dataclasses give
dotted names (`detector.min_score`), as ROS parameters have them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from caer_ros.types import CaerError

S = TypeVar("S")

OF_RCLPY = ("use_sim_time", "qos_overrides.", "start_type_description_service")
"""Beginnings of the parameter names that rclpy itself declares for every node."""


LONGEST = 1_000_000
"""Most bytes of a file that people write."""

DEEPEST = 20
"""Most levels of nesting in such a file."""


class SettingError(CaerError):
    """A setting that is unknown, of the wrong type or out of its range."""


@dataclass(frozen=True)
class Setting:
    """One leaf: dotted name, type (bool, int, float, str or list[str]), default, description,
    closed range or choices, and whether it may change while the node runs (`live`)."""

    name: str
    type: Any
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    def check(self, value: Any) -> Any:
        """Return `value` in this setting's type.

        Raises:
            SettingError: naming the setting, the value and what is allowed.
        """
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type == list[str]:
            fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        else:
            fits = type(value) is self.type
        if not fits:
            wanted = "list of strings" if self.type == list[str] else self.type.__name__
            raise SettingError(f"{self.name} is {value!r}, expected a {wanted}")
        if self.choices and value not in self.choices:
            raise SettingError(
                f"{self.name} is {value!r}, expected one of {', '.join(self.choices)}"
            )
        # written so that NaN is refused too
        if self.minimum is not None and not value >= self.minimum:
            raise SettingError(f"{self.name} is {value!r}, the least allowed is {self.minimum}")
        if self.maximum is not None and not value <= self.maximum:
            raise SettingError(f"{self.name} is {value!r}, the most allowed is {self.maximum}")
        return list(value) if self.type == list[str] else value


def setting(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Declare a field of a settings dataclass."""
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "live": live,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def describe(cls: type, prefix: str = "") -> Iterator[Setting]:
    """Yield every leaf of settings dataclass `cls`, depth first, in order of declaration."""
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from describe(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            continue
        default = (
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default
        )
        yield Setting(f"{prefix}{field.name}", kind, default, **field.metadata)


def check_live(old: Any, new: Any) -> None:
    """Refuse a change from `old` to `new`, settings of one class, that needs a new start.

    Raises:
        SettingError: where a setting that is not live differs.
    """
    before, after = flatten(dataclasses.asdict(old)), flatten(dataclasses.asdict(new))
    for leaf in describe(type(old)):
        if not leaf.live and before[leaf.name] != after[leaf.name]:
            raise SettingError(
                f"{leaf.name} cannot change from {before[leaf.name]!r} to {after[leaf.name]!r} "
                "while running; configure anew"
            )


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def build(cls: type[S], values: Mapping[str, Any]) -> S:
    """Make settings of class `cls` from dotted names; what is not named keeps its default.

    Raises:
        SettingError: for a name `cls` does not have, or a value that does not fit.
    """
    known = {leaf.name: leaf for leaf in describe(cls)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        likely = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {likely[0]}?" if likely else f"known are {', '.join(known)}"
        raise SettingError(f"unknown setting {unknown[0]!r}, {hint}")
    return _build(cls, {name: known[name].check(value) for name, value in values.items()}, "")


def _build(cls: type[S], values: Mapping[str, Any], prefix: str) -> S:
    hints = get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            arguments[field.name] = _build(hints[field.name], values, f"{name}.")
        elif name in values:
            arguments[field.name] = values[name]
    return cls(**arguments)


def read_parameters(path: Path, node: str = "caer") -> dict[str, Any]:
    """Return by dotted name what a ROS parameter file sets for `node`, in whatever namespace.

    Left out is what rclpy itself declares: `use_sim_time` and QoS overrides.

    Raises:
        SettingError: where the file cannot be read, or is no parameter file for `node`.
    """
    content = construct(compose(read_text(path), str(path)), str(path))
    values: dict[str, Any] = {}
    for name, value in flatten(content if isinstance(content, Mapping) else {}).items():
        owner, _, parameter = name.partition(".ros__parameters.")
        if parameter and owner.replace(".", "/").rsplit("/", 1)[-1] in ("*", "**", node):
            values[parameter] = value
    if not values:
        raise SettingError(
            f"{path} has no ros__parameters for a node {node!r}; config/caer.yaml shows the form"
        )
    return {name: value for name, value in values.items() if not name.startswith(OF_RCLPY)}


def read_text(path: Path) -> str:
    """Return the text of a file that people write, in UTF-8 with or without byte order mark.

    Raises:
        SettingError: where it is no plain file, larger than `LONGEST` bytes, or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise SettingError(f"cannot read {path}: it is no file")
        size = path.stat().st_size
        if size > LONGEST:
            raise SettingError(f"{path} has {size} bytes, expected at most {LONGEST}")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8 text: {error}") from error


def compose(text: str, name: str) -> yaml.Node | None:
    """Return the tree of a YAML text, None of an empty one.

    Aliases (`*a`) are refused, as rcl refuses them in parameter files: a few lines of them stand
    for gigabytes.

    Raises:
        SettingError: naming `name` and the line.
    """
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise SettingError(f"{name}:{line}: an alias (*{event.anchor}) is not read here")
            if depth > DEEPEST:
                raise SettingError(f"{name}:{line}: nested deeper than {DEEPEST}")
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingError(f"{name}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingError(f"{name} is not YAML: {error}") from error


def construct(node: yaml.Node | None, name: str) -> Any:
    """Return the plain values of a YAML tree.

    Raises:
        SettingError: naming `name` and the line, where a value is not what its tag says.
    """
    if node is None:
        return None
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    # the constructors raise whatever int(), datetime and dict do
    except Exception as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        line = node.start_mark.line + 1 if node.start_mark else 1
        raise SettingError(f"{name}:{line}: {reason}") from error
    finally:
        loader.dispose()
