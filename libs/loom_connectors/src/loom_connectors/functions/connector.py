"""Opens what `python:module:function` means, on an event loop of its own: what it calls is not Loom's."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.functions.destination import FunctionDestination
from loom_connectors.functions.source import FunctionSource
from loom_connectors.options import NoOptions, options_of
from loom_connectors.own_loop import DestinationOnItsLoop, SourceOnItsLoop
from loom_connectors.ports.context import ConnectorContext


def open_source(config: ExtractConfig, context: ConnectorContext) -> SourceOnItsLoop:
    """Open a function that yields records. Raises `ConfigurationError`, and `UserCodeError` where it is not there."""
    options_of(NoOptions, config.options, "extract")
    reference = _reference(config.source, ("extract", "source"))
    return SourceOnItsLoop(
        f"The source {config.source}",
        lambda: FunctionSource(reference, context.folder, context.params),
        context,
    )


def open_destination(config: LoadConfig, context: ConnectorContext) -> DestinationOnItsLoop:
    """Open a function that takes rows. Raises as `open_source` does."""
    options_of(NoOptions, config.options, "load")
    reference = _reference(config.destination, ("load", "destination"))
    if config.mode not in (None, "append"):
        expected = "`append`, or no mode: what becomes of earlier rows, the function decides"
        raise InvalidDefinition([Problem(("load", "mode"), f"'{config.mode}'", expected)])
    return DestinationOnItsLoop(
        f"The destination {config.destination}",
        lambda: FunctionDestination(reference, context.folder),
        context,
    )


def _reference(location: str, path: tuple[str, str]) -> str:
    reference = location.partition(":")[2]
    module, _, name = reference.partition(":")
    if not module or not name.isidentifier():
        raise InvalidDefinition([Problem(path, f"'{location}'", "python:module:function")])
    return reference
