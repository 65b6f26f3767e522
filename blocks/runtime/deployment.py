"""Which node runs which block: one TOML file, the same on every host (docs/deployment.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from blocks.runtime.report import DeploymentError

WILDCARDS = ("0.0.0.0", "*", "::", "[::]")
HIGHEST_PORT = 65535


def _check_ports(ports: str) -> str:
    """``*``, a port, or a range of them."""
    low, _, high = ports.partition("-")
    if ports != "*" and not (low.isdecimal() and (high or low).isdecimal()):
        raise ValueError("ports are '*', a number or 'low-high'")
    if ports != "*" and not 1 <= int(low) <= int(high or low) <= HIGHEST_PORT:
        raise ValueError(f"ports are 1 to {HIGHEST_PORT}, the lower one first")
    return ports


def _check_host(host: str) -> str:
    """An address that others can connect to."""
    if host in WILDCARDS or any(letter in host for letter in " /"):
        raise ValueError("give the address of this node that the other nodes reach it at")
    return host


def _check_control(control: str) -> str:
    """host:port, the host as above."""
    host, _, port = control.rpartition(":")
    if not host or ":" in host or not port.isdecimal():
        raise ValueError("write host:port, where the first node listens")
    _check_ports(port)
    _check_host(host)
    return control


class NodeEntry(BaseModel):
    """One node: the address its sockets bind to and peers reach it at, its ports, its blocks."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: Annotated[str, AfterValidator(_check_host)] = Field("127.0.0.1", min_length=1)
    ports: Annotated[str, AfterValidator(_check_ports)] = "*"
    blocks: tuple[str, ...] = Field(min_length=1)


class Deployment(BaseModel):
    """The file: where the supervisor listens, an optional CURVE certificate, and the nodes.

    The first node supervises: it collects the statistics, and its host is that of `control`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    control: Annotated[str, AfterValidator(_check_control)]
    certificate: str | None = None
    patience: float = Field(60.0, gt=0, allow_inf_nan=False)
    nodes: dict[str, NodeEntry] = Field(min_length=1)
    folder: Path = Field(Path(), exclude=True)

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read and check the file; DeploymentError is one line naming the key."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise DeploymentError(f"deployment file {path} cannot be read: {reason}") from None
        except tomllib.TOMLDecodeError as error:
            raise DeploymentError(f"deployment file {path} is not valid TOML: {error}") from None
        if "folder" in values:
            raise DeploymentError(f"deployment file {path}: folder: unknown key")
        try:
            return cls(**values, folder=path.parent)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            known = {"extra_forbidden": "unknown key", "missing": "is missing"}
            reason = known.get(first["type"], first["msg"].removeprefix("Value error, "))
            raise DeploymentError(f"deployment file {path}: {key}: {reason}") from None

    @property
    def supervisor(self) -> str:
        """The name of the node that supervises."""
        return next(iter(self.nodes))

    @property
    def certificate_path(self) -> Path | None:
        """The CURVE certificate, relative to the deployment file."""
        return None if self.certificate is None else self.folder / self.certificate

    def node(self, name: str | None) -> str:
        """`name` if the file has such a node."""
        if name not in self.nodes:
            raise DeploymentError(
                f"no node {name!r} in the deployment file: choose one of {', '.join(self.nodes)}"
            )
        return name

    def placement(self, blocks: Iterable[str]) -> dict[str, str]:
        """Block → node; every block must stand at exactly one node, and every name be a block."""
        blocks = list(blocks)
        placed: dict[str, str] = {}
        for node, entry in self.nodes.items():
            for block in entry.blocks:
                if block not in blocks:
                    raise DeploymentError(
                        f"node {node}: the graph has no block {block!r}; it has {', '.join(blocks)}"
                    )
                if block in placed:
                    raise DeploymentError(f"block {block} stands at node {placed[block]} and again at {node}")
                placed[block] = node
        missing = [block for block in blocks if block not in placed]
        if missing:
            raise DeploymentError(f"no node runs {', '.join(missing)}: add it to the blocks of one")
        return placed
