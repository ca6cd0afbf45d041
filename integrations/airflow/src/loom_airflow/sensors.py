"""Waits for runs that something else has started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from loom_airflow.api import LoomApiAway, LoomApiError
from loom_airflow.compat import AirflowException, AirflowFailException
from loom_airflow.hooks import LoomHook
from loom_airflow.projects import LoomProject
from loom_airflow.reports import AT_WORK, RunFailed, result_of
from loom_airflow.triggers import LoomRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoomRunSensor(BaseSensorOperator):
    """Waits until a run has ended, and gives XCom what `LoomPipelineOperator` gives. Fails where it did not succeed.

    :param run_id: the run; or
    :param pipeline_name: the newest run of this pipeline that began at `since` or later.
    :param since: a time in ISO 8601 with its zone.
    :param fail_on_quality_gate: whether a run with the status `partial` fails the sensor.
    :param loom_conn_id: the connection of the API.
    :param loom_config_path: the `loom.yaml` of a project where the worker is, whose state is looked at in place of the
        API.
    :param deferrable: over the API and with `run_id`, let the triggerer wait.
    """

    template_fields: Sequence[str] = ("run_id", "pipeline_name", "since", "loom_conn_id", "loom_config_path")
    ui_color = "#e8e4f3"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        pipeline_name: str | None = None,
        since: str | None = None,
        fail_on_quality_gate: bool = True,
        loom_conn_id: str = LoomHook.default_conn_name,
        loom_config_path: str | None = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (run_id is None) == (pipeline_name is None):
            raise ValueError("LoomRunSensor waits for a `run_id`, or for a run of a `pipeline_name`: give one of them.")
        if deferrable and (run_id is None or loom_config_path is not None):
            raise ValueError(
                "LoomRunSensor is deferrable for a `run_id` over the API; use mode='reschedule' elsewhere."
            )
        self.run_id = run_id
        self.pipeline_name = pipeline_name
        self.since = since
        self.fail_on_quality_gate = fail_on_quality_gate
        self.loom_conn_id = loom_conn_id
        self.loom_config_path = loom_config_path
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait in the triggerer where the sensor is deferrable, else here. A run that has ended is not waited for."""
        if not self.deferrable:
            return super().execute(context)
        if isinstance(seen := self.poke(context), PokeReturnValue):
            return seen.xcom_value
        assert self.run_id is not None
        trigger = LoomRunTrigger(self.run_id, self.loom_conn_id, poll_interval=self.poke_interval, cancel_on_kill=False)
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take what the trigger has told."""
        if "report" not in event:
            raise AirflowException(event["error"])
        return self._ended(event["report"])

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look once. An API that is away is asked again at the next look."""
        runs: Any = (
            LoomHook(self.loom_conn_id).get_conn()
            if self.loom_config_path is None
            else LoomProject(self.loom_config_path)
        )
        try:
            run_id = self.run_id
            if run_id is None:
                newest = runs.newest(self.pipeline_name, self.since)
                if newest is None or newest["status"] in AT_WORK:
                    return False
                run_id = newest["run_id"]
            report = runs.report(run_id) if self.loom_config_path else runs.run(run_id, patience=0.0)
        except LoomApiAway as error:
            self.log.warning("%s", error)
            return False
        except (LoomApiError, LookupError) as error:
            raise AirflowFailException(str(error)) from error
        if report["status"] in AT_WORK:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._ended(report))

    def _ended(self, report: dict[str, Any]) -> dict[str, Any]:
        try:
            return result_of(report, fail_on_quality_gate=self.fail_on_quality_gate)
        except RunFailed as error:
            raise AirflowFailException(str(error)) from error
