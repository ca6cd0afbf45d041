"""Writes the forms of a schedule."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from loom.scheduling.cron import Cron

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Says what runs when, and where."""

    pipeline: str
    cron: Cron
    command: tuple[str, ...]
    """Holds the words of the command on this machine."""
    arguments: tuple[str, ...]
    """Holds those of `loom run` on a cluster, where the pipeline is known by its name."""
    project: str
    timezone: str | None
    """Is None for that of the machine, and for UTC where there is none."""
    image: str

    @property
    def name(self) -> str:
        """Return a name that systemd, Kubernetes and Airflow take."""
        return f"loom-{re.sub(r'[^a-z0-9-]+', '-', self.pipeline).strip('-')}"[:52].rstrip("-")


def crontab(of: Scheduled) -> str:
    """Return lines of a crontab. `flock` leaves a run out while the one before goes on; cron takes `%` for a line
    break."""
    run = f"flock -n .loom/{of.name}.lock {shlex.join(of.command)}"
    line = f"cd {shlex.quote(of.project)} && mkdir -p .loom && {run}".replace("%", r"\%")
    zone = f"CRON_TZ={of.timezone}\n" if of.timezone else ""
    return f"{zone}{of.cron.text} {line}\n"


def systemd(of: Scheduled) -> dict[str, str]:
    """Return the files of a service and of its timer, by name. A service that still runs is not started again."""
    described = f"Loom runs {of.pipeline}"
    service = (
        f"[Unit]\nDescription={described}\nWants=network-online.target\nAfter=network-online.target\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={_escaped(of.project)}\n"
        f"ExecStart={' '.join(_quoted(word) for word in of.command)}\n"
    )
    calendars = "".join(f"OnCalendar={each}\n" for each in calendar(of.cron, of.timezone))
    timer = (
        f"[Unit]\nDescription={described} on time\n\n[Timer]\n{calendars}Persistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    return {f"{of.name}.service": service, f"{of.name}.timer": timer}


def calendar(cron: Cron, timezone: str | None = None) -> list[str]:
    """Return the expressions of systemd for a cron expression. Two where it names days of the month and of the week:
    for cron either will do, and one expression of systemd demands both."""
    months = _listed(cron.months)
    time = f"{_listed(cron.hours)}:{_listed(cron.minutes)}:00" + (f" {timezone}" if timezone else "")
    weekdays = "" if cron.weekdays is None else ",".join(_WEEKDAYS[day] for day in cron.weekdays) + " "
    if cron.either:
        return [f"*-{months}-{_listed(cron.days)} {time}", f"{weekdays}*-{months}-* {time}"]
    return [f"{weekdays}*-{months}-{_listed(cron.days)} {time}"]


def kubernetes(of: Scheduled) -> str:
    """Return a CronJob that asks the cluster of deploy/k8s. JSON strings are YAML, so that any name can stand there."""
    arguments = json.dumps(["loom", "run", of.pipeline, *of.arguments, "--cluster"])
    return f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: {of.name}
  labels: {{app.kubernetes.io/name: loom, app.kubernetes.io/component: client}}
spec:
  schedule: {json.dumps(of.cron.text)}
  timeZone: {json.dumps(of.timezone or "Etc/UTC")}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  jobTemplate:
    spec:
      backoffLimit: 0
      ttlSecondsAfterFinished: 86400
      template:
        metadata:
          labels: {{app.kubernetes.io/name: loom, app.kubernetes.io/component: client}}
        spec:
          restartPolicy: Never
          serviceAccountName: loom
          automountServiceAccountToken: false
          securityContext:
            runAsNonRoot: true
            runAsUser: 10001
            runAsGroup: 10001
            seccompProfile: {{type: RuntimeDefault}}
          containers:
            - name: loom
              image: {json.dumps(of.image)}
              command: {arguments}
              env:
                - name: LOOM_BUS_URL
                  valueFrom: {{secretKeyRef: {{name: loom-backends, key: LOOM_BUS_URL}}}}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {{drop: [ALL]}}
              resources:
                requests: {{cpu: 50m, memory: 128Mi}}
                limits: {{cpu: "1", memory: 512Mi}}
              volumeMounts: [{{name: tmp, mountPath: /tmp}}]
          volumes: [{{name: tmp, emptyDir: {{sizeLimit: 64Mi}}}}]
"""


def airflow(of: Scheduled) -> str:
    """Return the file of a DAG for Airflow 3 with its standard provider."""
    zone = repr(of.timezone or "UTC")
    return f"""import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id={of.name!r},
    schedule={of.cron.text!r},
    start_date=pendulum.datetime(2026, 1, 1, tz={zone}),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(
        task_id="run",
        bash_command={shlex.join(of.command) + " "!r},
        cwd={of.project!r},
    )
"""


def _listed(numbers: Sequence[int] | None) -> str:
    return "*" if numbers is None else ",".join(f"{number:02}" for number in numbers)


def _escaped(text: str) -> str:
    """Write a text for systemd, which takes `%` for a specifier."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """Write an argument for systemd, which also fills in `$NAME`."""
    text = _escaped(word).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
