"""Defines the tables of the replicas of every service, the prefetch limits of their queues, the alerts that runs have
raised, and what lineage collectors were told of them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from loom_coordinator.db.tables.columns import metadata, row_id
from loom_migrations.types import Json, UtcDateTime

replicas = Table(
    "replicas",
    metadata,
    Column("replica", String(255), primary_key=True),
    Column("service", String(50), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("beat", Json, nullable=False, comment="the newest WorkerBeat"),
    Column("before", Json, comment="one of some seconds earlier: what changed between the two is a rate"),
)

prefetch_limits = Table(
    "prefetch_limits",
    metadata,
    Column("queue", String(100), primary_key=True),
    Column("service", String(50), nullable=False),
    Column("prefetch", Integer, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("streak", Integer, nullable=False),
    Column("hold", Integer, nullable=False),
    Column("unhindered", Float, comment="seconds a message takes where it waits for no other"),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

monitoring_alerts = Table(
    "monitoring_alerts",
    metadata,
    row_id(),
    Column("pipeline_name", String(255), ForeignKey("pipelines.name"), nullable=False),
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), nullable=False),
    Column("alert_type", String(100), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("severity", String(50), nullable=False),
    Column("message", Text, nullable=False),
    Column("details", Json),
    Column("threshold_value", Float),
    Column("actual_value", Float),
    Column("triggered_at", UtcDateTime, nullable=False),
    Column("acknowledged", Boolean, nullable=False, server_default=text("false")),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(255)),
    Column("notification_channel", String(100)),
    Column("notification_url", Text),
    Column("notification_attempts", Integer, nullable=False, server_default="0"),
    Column("notification_due", UtcDateTime),
    Column("notification_error", Text),
    Column("notified_at", UtcDateTime),
    UniqueConstraint("run_id", "alert_type", "subject"),
    Index("idx_monitoring_alerts_pipeline", "pipeline_name"),
    Index("idx_monitoring_alerts_triggered", "triggered_at"),
    Index("idx_monitoring_alerts_acknowledged", "acknowledged"),
)

openlineage_told = Table(
    "openlineage_told",
    metadata,
    Column("run_id", String(255), ForeignKey("pipeline_runs.run_id"), primary_key=True),
    Column("event", String(20), comment="START, RUNNING, COMPLETE, FAIL or ABORT; null before the first"),
    Column("told_at", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False, comment="when the next event may be told"),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Index("idx_openlineage_told_event", "event"),
)
