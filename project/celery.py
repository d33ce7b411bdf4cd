"""The Celery application and its whole timetable."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.conf import settings

app = Celery("project")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 900},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_time_limit=330,
    task_soft_time_limit=300,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=30,
    task_default_queue="er",
    timezone="UTC",
    beat_schedule={
        "partitions": {"task": "analytics.tasks.keep_partitions", "schedule": 3600.0},
        "answers": {"task": "tenancy.tasks.forget_answers", "schedule": 3600.0},
        "bodies": {"task": "analytics.tasks.expire_bodies", "schedule": 3600.0},
        "tags": {"task": "analytics.tasks.expire_tags", "schedule": 3600.0},
        "expired calls": {"task": "analytics.tasks.expire_calls", "schedule": 3600.0},
        "deleted organizations": {"task": "analytics.tasks.erase_deleted", "schedule": 300.0},
        "sessions": {"task": "tenancy.tasks.clear_sessions", "schedule": 86400.0},
    },
)
app.autodiscover_tasks()
