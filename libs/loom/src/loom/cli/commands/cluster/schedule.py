"""Implements `loom schedule`, which writes when a pipeline runs in the words of a scheduler."""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import ForTarget
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from loom.scheduling.forms import Scheduled

_SHOWN = 3
"""The number of times that are told."""


class Scheduler(StrEnum):
    """Lists the schedulers for which a schedule is written."""

    ALL = "all"
    CRON = "cron"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    AIRFLOW = "airflow"
    JSON = "json"


@grouped
def schedule(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A pipeline file, or a pipeline's name.")],
    cron: Annotated[str, typer.Option("--cron", metavar="CRON", help="When: `0 6 * * mon-fri`, `@daily`.")],
    form: Annotated[
        Scheduler, typer.Option("--format", help="One form alone, or all of them, one below the other.")
    ] = Scheduler.ALL,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone", metavar="ZONE", help="`Europe/Berlin`. Default: the machine's; of a cluster and Airflow UTC."
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="Set a parameter. May be given again.")
    ] = None,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="The image of the Kubernetes form, with Loom in it.")
    ] = "loom",
    *,
    common: ForTarget,
) -> None:
    """Print how a pipeline is run on a schedule: lines for cron, a service and a timer for systemd, a CronJob for
    Kubernetes, and a DAG for Airflow.

    Nothing is installed. In each form a run is left out while the one before goes on. The Kubernetes form asks the
    cluster for the pipeline by its name: `loom register FILE` makes it known there."""
    from loom.cli.output import terminal
    from loom.cli.output.stdout import stream
    from loom.scheduling import forms

    scheduled = _scheduled(pipeline, cron, timezone, param or [], image, common)
    zone = _zone(timezone)
    here = dt.datetime.now().astimezone().tzinfo
    times = itertools.islice(scheduled.cron.after(dt.datetime.now(dt.UTC), zone or here or dt.UTC), _SHOWN)
    coming = [f"{each:%Y-%m-%d %H:%M}" for each in times]
    units = forms.systemd(scheduled)
    written = {
        Scheduler.CRON: forms.crontab(scheduled),
        Scheduler.SYSTEMD: "\n".join(f"# {name}\n{text}" for name, text in units.items()),
        Scheduler.KUBERNETES: forms.kubernetes(scheduled),
        Scheduler.AIRFLOW: forms.airflow(scheduled),
    }
    if form is Scheduler.JSON:
        documents = {name.value: text for name, text in written.items()} | {"systemd": units, "next": coming}
        terminal.print_json(documents)
        return
    chosen = list(written) if form is Scheduler.ALL else [form]
    for each in chosen:
        if form is Scheduler.ALL:
            stream().write(f"# --- {_HEADS[each].format(name=scheduled.name)}\n")
        stream().write(written[each] + ("\n" if form is Scheduler.ALL and each is not chosen[-1] else ""))
    clock = f"in {timezone}" if timezone else "by the machine's clock; of Kubernetes and Airflow in UTC"
    terminal.say(f"Next, {clock}: {', '.join(coming)}.")


_HEADS = {
    Scheduler.CRON: "cron: `crontab -e`",
    Scheduler.SYSTEMD: "systemd: files in ~/.config/systemd/user, then `systemctl --user enable --now {name}.timer`",
    Scheduler.KUBERNETES: "Kubernetes: `kubectl apply -f -` beside deploy/k8s",
    Scheduler.AIRFLOW: "Airflow 3: a file in the folder of DAGs",
}


def _scheduled(
    pipeline: str, cron: str, timezone: str | None, params: list[str], image: str, common: ForTarget
) -> Scheduled:
    """Raises `InvalidDefinition` for a pipeline with mistakes, `NotFound`, and `ConfigurationError`."""
    from loom.cli.commands.run import params_of
    from loom.project import catalog
    from loom.scheduling.cron import Cron
    from loom.scheduling.forms import Scheduled
    from loom_common.domain.model_options.params import resolved

    config = common.configuration(pipeline)
    _zone(timezone)
    loaded = catalog.find_file(pipeline, config)
    given = params_of(params)
    resolved(loaded.pipeline.params, given)
    beside = Path(sys.executable).with_name("loom")
    begin = (str(beside),) if beside.is_file() else (sys.executable, "-m", "loom")
    said = tuple(word for each in params for word in ("--param", each))
    target = () if config.target is None else ("--target", config.target)
    path = _below(loaded.path, config.project)
    where = ("--cluster",) if common.cluster else ()
    return Scheduled(
        pipeline=loaded.pipeline.name,
        cron=Cron.of(cron),
        command=(*begin, "run", path, *target, *said, *where),
        arguments=said,
        project=str(config.project.resolve()),
        timezone=timezone,
        image=image,
    )


def _below(path: Path, project: Path) -> str:
    """Return the path of the file as the command names it, which is called in the project."""
    whole, project = path.resolve(), project.resolve()
    return str(whole.relative_to(project)) if whole.is_relative_to(project) else str(whole)


def _zone(name: str | None) -> ZoneInfo | None:
    """Return a time zone. Raises `ConfigurationError` where there is none of this name."""
    if name is None:
        return None
    from zoneinfo import ZoneInfo, available_timezones

    from loom_common.domain.values.near import closest
    from loom_common.errors import ConfigurationError

    known = available_timezones()
    if name not in known:
        near = closest(name, known)
        hint = f" Did you mean '{near}'?" if near else ""
        raise ConfigurationError(f"There is no time zone '{name}'.{hint} Expected is a name such as Europe/Berlin.")
    return ZoneInfo(name)
