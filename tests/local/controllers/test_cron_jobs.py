"""Cron schedules, and what a CronJob makes at their times."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_mesh.clusters.local.controllers.cron_jobs import plan
from pytest_mesh.clusters.local.controllers.schedules import Schedule

NOW = datetime(2026, 3, 4, 10, 30, 20, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("* * * * *", "UTC", "2026-03-04T10:31"),
        ("*/15 * * * *", "UTC", "2026-03-04T10:45"),
        ("5,35 9-17 * * mon-fri", "UTC", "2026-03-04T10:35"),
        ("0 0 1 jan *", "UTC", "2027-01-01T00:00"),
        ("0 12 13 * fri", "UTC", "2026-03-06T12:00"),
        ("@daily", "Europe/Berlin", "2026-03-04T23:00"),
        ("30 2 29 3 *", "Europe/Berlin", "2027-03-29T00:30"),
        ("0 0 * * 7", "UTC", "2026-03-08T00:00"),
        ("0 0 30 2 *", "UTC", None),
    ],
)
def test_the_next_time_of_a_schedule(text, zone, expected):
    found = Schedule.read(text, zone).after(NOW)
    assert (found and found.strftime("%Y-%m-%dT%H:%M")) == expected


@pytest.mark.parametrize("text", ["* * * *", "60 * * * *", "a * * * *", "*/0 * * * *", "5-2 * * * *"])
def test_a_schedule_that_cannot_be_read_is_an_error(text):
    with pytest.raises(ValueError, match=r".+"):
        Schedule.read(text)


def cron_job(since=timedelta(minutes=2), **spec):
    stamp = (NOW - since).strftime("%Y-%m-%dT%H:%M:%SZ")
    template = {"spec": {"template": {"spec": {}}}}
    metadata = {"name": "x", "namespace": "shop", "uid": "u", "creationTimestamp": stamp}
    whole = {"schedule": "* * * * *", "jobTemplate": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": whole}


def job(name, ended=""):
    conditions = [{"type": ended, "status": "True"}] if ended else []
    status = {"conditions": conditions, "startTime": name, "completionTime": "2026-03-04T10:00:00Z"}
    return {"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"}, "status": status}


def test_of_several_missed_times_the_last_one_counts():
    decision = plan(cron_job(), [], NOW)
    minute = int(NOW.timestamp()) // 60
    assert decision.create["metadata"]["name"] == f"x-{minute}"
    assert decision.status["lastScheduleTime"] == "2026-03-04T10:30:00Z"
    assert decision.again == pytest.approx(40.05)


def test_a_job_that_is_there_already_is_not_made_again_and_its_time_is_kept():
    name = f"x-{int(NOW.timestamp()) // 60}"
    decision = plan(cron_job(), [job(name, "Complete")], NOW)
    assert decision.create is None
    assert decision.status["lastScheduleTime"] == "2026-03-04T10:30:00Z"


def test_a_year_of_missed_times_is_not_counted_one_by_one():
    assert plan(cron_job(timedelta(days=365)), [], NOW).create is not None


@pytest.mark.parametrize(
    ("policy", "makes", "deletes"), [("Allow", 1, ()), ("Forbid", 0, ()), ("Replace", 1, ("old",))]
)
def test_a_job_that_still_runs_stands_by_waits_or_goes(policy, makes, deletes):
    decision = plan(cron_job(concurrencyPolicy=policy), [job("old")], NOW)
    assert (decision.create is not None) == bool(makes)
    assert decision.delete == deletes


def test_suspended_or_too_late_makes_nothing():
    assert plan(cron_job(suspend=True), [], NOW).create is None
    assert plan(cron_job(schedule="0 10 * * *", startingDeadlineSeconds=60), [], NOW).create is None


def test_the_oldest_ended_jobs_go():
    ended = [job(name, "Complete") for name in "abcde"] + [job("f", "Failed"), job("g", "Failed")]
    assert plan(cron_job(suspend=True), ended, NOW).delete == ("a", "b", "f")
