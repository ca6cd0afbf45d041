"""How a loader is put together."""

from __future__ import annotations

from loom_common import flow
from loom_common.bootstrap import Platform, Service, StageService
from loom_common.contracts.v1 import BatchEvaluated, FinalizeLoad
from loom_common.domain.output import json_schema
from loom_common.domain.params import typed
from loom_common.domain.plan import Plan
from loom_common.errors import ConfigurationError, DestinationError
from loom_common.flow import Stage
from loom_common.leases import Leases
from loom_common.worker import Duty
from loom_connectors.overlaps import overlap
from loom_connectors.ports import Destination, Surroundings
from loom_connectors.registry import open_destination
from loom_loader.handler import Loader


def build(platform: Platform) -> Service:
    """The loader service on `platform`."""
    destinations: Leases[Destination] = Leases()

    def open_planned(plan: Plan) -> Destination:
        return open_destination_of(plan, platform)

    loader = Loader(platform.plans, destinations, open_planned, platform.breakers, platform.clock)
    queue = flow.work_queue(Stage.LOAD)
    duty = Duty(queue, (BatchEvaluated, FinalizeLoad), loader, platform.settings.worker.prefetch)
    return StageService("loader", [duty], platform, destinations.closing)


def open_destination_of(plan: Plan, platform: Platform) -> Destination:
    """The plan's destination, as seen from this worker. Raises `DestinationError` where its settings cannot be used."""
    output = plan.pipeline.transform.shape
    try:
        surroundings = Surroundings(
            folder=platform.project / plan.base,
            credentials=platform.credentials,
            params=typed(plan.pipeline.params, plan.params),
            output_schema=json_schema(output) if output is not None else None,
            record_key=plan.pipeline.extract.keys,
            adds=plan.replay is not None,
            sample=plan.beside,
        )
        if (problem := overlap(plan.pipeline.extract, plan.pipeline.load, surroundings)) is not None:
            raise DestinationError(str(problem))
        return open_destination(plan.pipeline.load, surroundings)
    except ConfigurationError as error:  # found this late, it fails the run rather than one batch
        raise DestinationError(str(error)) from error
