"""Runs pipelines of Loom as tasks of Airflow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from loom_airflow.api import LoomApi, LoomApiAway, LoomApiError
from loom_airflow.compat import AirflowException, AirflowFailException, conf
from loom_airflow.hooks import LoomHook
from loom_airflow.identity import clearing_of, request_key
from loom_airflow.lineage import lineage_parent_of
from loom_airflow.projects import LoomProject, NoLoom
from loom_airflow.reports import AT_WORK, LEFT, NotToBeRetried, RunFailed, progress, result_of
from loom_airflow.triggers import LoomRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoomPipelineOperator(BaseOperator):
    """Runs a pipeline to its end, and fails where the run did not succeed. XCom gets `run_id`, `status`,
    `records_processed`, `records_validated` and `cost_total`.

    A retry goes on with the run of the try before; nothing is paid for twice. A task that was cleared starts another
    run.

    :param pipeline_name: the pipeline's name in its project; with `loom_config_path` also the path of its file.
    :param pipeline_version: fail where the pipeline has another version.
    :param params: values of the pipeline's parameters. They are templates, and Airflow's `params`: what is given when
        the DAG is triggered takes their place.
    :param loom_config_path: the `loom.yaml` of a project where the worker is, or its folder. The run is then one of
        the worker, or of the project's cluster. Default: the run is asked of the API of `loom_conn_id`.
    :param fail_on_quality_gate: whether a run with the status `partial` fails the task, without a retry.
    :param loom_conn_id: the connection of the API.
    :param target: the target of `loom.yaml`, with `loom_config_path`.
    :param sample: run over the first so many records, which are loaded beside the destination.
    :param budget: what the run may cost, in USD.
    :param priority: over the API, its share beside other runs, from 1 to 10.
    :param full_refresh: over the API, read all of an incremental source.
    :param deferrable: over the API, let the triggerer follow the run.
    :param poll_interval: how often to ask for the run, in seconds.
    :param cancel_on_kill: over the API, end the run where somebody ends the task.
    """

    template_fields: Sequence[str] = (
        "pipeline_name", "pipeline_version", "loom_config_path", "loom_conn_id", "target",
    )  # fmt: skip
    ui_color = "#e8e4f3"

    def __new__(cls, *_: Any, **given: Any) -> LoomPipelineOperator:
        """Keep the task's own `params`, which Airflow then merges with those of the DAG."""
        made: LoomPipelineOperator = super().__new__(cls)
        made.__dict__["own_params"] = tuple(given.get("params") or ())
        return made

    def __init__(
        self,
        *,
        pipeline_name: str,
        pipeline_version: str | None = None,
        params: Mapping[str, Any] | None = None,
        loom_config_path: str | None = None,
        fail_on_quality_gate: bool = True,
        loom_conn_id: str = LoomHook.default_conn_name,
        target: str | None = None,
        sample: int | None = None,
        budget: float | None = None,
        priority: int | None = None,
        full_refresh: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 10.0,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(params=params, **kwargs)
        self.pipeline_name = pipeline_name
        self.pipeline_version = pipeline_version
        self.loom_config_path = loom_config_path
        self.fail_on_quality_gate = fail_on_quality_gate
        self.loom_conn_id = loom_conn_id
        self.target = target
        self.sample = sample
        self.budget = budget
        self.priority = priority
        self.full_refresh = full_refresh
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self._run_id: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the pipeline, or go on with the run of an earlier try."""
        options = self._options(context)
        key = _key_of(context)
        try:
            parent = lineage_parent_of(context["ti"])
            if self.loom_config_path is not None:
                return self._embedded(self.loom_config_path, options, key, parent)
            return self._over_the_api(options, key, parent)
        except LoomApiError as error:
            raise (AirflowFailException if error.status in (400, 404, 422) else AirflowException)(str(error)) from error
        except (LoomApiAway, RunFailed, NoLoom) as error:
            raise _of_airflow(error) from error

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Take what the trigger has told."""
        if "report" not in event:
            raise AirflowException(event["error"])
        return self._ended(event["report"])

    def on_kill(self) -> None:
        """End the run over the API where somebody ends the task; one in the worker stops where it stands. A retry goes
        on with either."""
        if self.loom_config_path is not None:
            raise AirflowException(
                "The task was ended from outside. Its run is interrupted; the next try goes on with it."
            )
        if self._run_id is not None and self.cancel_on_kill:
            self.log.info("Cancelling %s.", self._run_id)
            LoomHook(self.loom_conn_id).get_conn().cancel(self._run_id)

    def _embedded(
        self, config_path: str, options: Mapping[str, Any], key: str, parent: Mapping[str, str] | None
    ) -> dict[str, Any]:
        from loom import LoomError

        project = LoomProject(config_path, self.target)
        try:
            self._refuse_version(project.version_of(self.pipeline_name))
            return self._ended(project.run(self.pipeline_name, options, key, parent))
        except LoomError as error:
            raise AirflowException(str(error)) from error

    def _over_the_api(self, options: Mapping[str, Any], key: str, parent: Mapping[str, str] | None) -> dict[str, Any]:
        api = LoomHook(self.loom_conn_id).get_conn()
        if self.pipeline_version is not None:
            self._refuse_version(api.pipeline(self.pipeline_name)["version"])
        self._run_id = run_id = api.start(self.pipeline_name, options, key, lineage_parent=parent)
        report = api.run(run_id)
        if report["status"] in LEFT:
            self.log.info("Going on with %s, which is %s.", run_id, report["status"])
            api.resume(run_id)
            report = api.run(run_id)
        self.log.info(progress(report))
        if report["status"] in AT_WORK and self.deferrable:
            self.defer(
                trigger=LoomRunTrigger(
                    run_id, self.loom_conn_id, poll_interval=self.poll_interval, cancel_on_kill=self.cancel_on_kill
                ),
                method_name="execute_complete",
            )
        return self._ended(self._followed(api, report))

    def _followed(self, api: LoomApi, report: dict[str, Any]) -> dict[str, Any]:
        while report["status"] in AT_WORK:
            time.sleep(self.poll_interval)
            report, before = api.run(report["run_id"], patience=600.0), report
            if progress(report) != progress(before):
                self.log.info(progress(report))
        return report

    def _ended(self, report: Mapping[str, Any]) -> dict[str, Any]:
        self.log.info(progress(report))
        try:
            return result_of(report, fail_on_quality_gate=self.fail_on_quality_gate)
        except RunFailed as error:
            raise _of_airflow(error) from error

    def _options(self, context: Context) -> dict[str, Any]:
        given = context["params"]
        params = {name: self.render_template(given[name], context) for name in self.own_params}
        said = {"params": params, "sample": self.sample, "budget": self.budget, "priority": self.priority}
        return {name: value for name, value in said.items() if value is not None} | (
            {"full_refresh": True} if self.full_refresh else {}
        )

    def _refuse_version(self, found: str) -> None:
        if self.pipeline_version is not None and found != self.pipeline_version:
            raise AirflowFailException(
                f"The task asks for version {self.pipeline_version} of {self.pipeline_name}, which has version {found}."
            )


def _key_of(context: Context) -> str:
    ti = context["ti"]
    clearing = clearing_of(ti.max_tries, ti.task.retries or 0)
    return request_key(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index, clearing)


def _of_airflow(error: Exception) -> AirflowException:
    return (AirflowFailException if isinstance(error, NotToBeRetried) else AirflowException)(str(error))
