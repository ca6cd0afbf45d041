"""Opens what a transform of type `enrich` looks records up in: an API, or the SQL system of its location."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.errors import InvalidDefinition, Problem
from loom_connectors.built_in import LOOKUPS, implementation_of
from loom_connectors.locations import Location
from loom_connectors.options import closest, options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import Lookup, LookupFactory, LookupRequest
from loom_connectors.registry import texts_in


def open_lookup(config: EnrichTransformConfig, context: ConnectorContext) -> Lookup:
    """Open what records are looked up in. Connects to nothing yet. Raises `ConfigurationError`; paths of mistakes begin
    with `transform`."""
    if config.url is not None:
        from loom_connectors.rest.http.options import RestLookupOptions
        from loom_connectors.rest.reading.lookup import RestLookup

        options = options_of(RestLookupOptions, config.options, "transform")
        return RestLookup(config.url, config.record, config.wanted, options, context)
    assert config.source is not None
    location = Location.of(config.source, context)
    if location.scheme not in LOOKUPS:
        expected = f"the URL of a SQL system ({', '.join(f'{each}://' for each in sorted(LOOKUPS))}); an API is a `url`"
        near = closest(location.scheme, sorted(LOOKUPS))
        raise InvalidDefinition([Problem(("transform", "source"), f"'{location.shown}'", expected, near)])
    factory: LookupFactory = implementation_of(LOOKUPS, location.scheme)
    columns = tuple(config.keys.values())
    request = LookupRequest(config.source, config.query, config.options, columns, config.wanted)
    return factory(request, context)


def referring_texts_of(config: EnrichTransformConfig) -> Sequence[str]:
    """Return the texts that credentials are put into."""
    if config.url is not None:
        return [config.url, *texts_in(config.options)]
    return [config.source or ""]
