"""The pytest plugin: hook functions. It knows pytest, and no mesh's inside.

Nothing heavy is imported and nothing is started before a test asks for a mesh:
not under --help or --collect-only, and not in a project without mesh tests.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mesh import hooks, options, selection, suites
from pytest_mesh.fixtures import (
    mesh,
    mesh_cluster,
    mesh_evidence,
    mesh_namespace,
    mesh_offline,
    mesh_outside,
    mesh_pair,
    mesh_settings,
    mesh_state,
)
from pytest_mesh.keys import NOT_APPLICABLE, RECORDS, RUN, TestState, check_name, feature_of, is_mesh_test
from pytest_mesh.report import gathering
from pytest_mesh.report.gathering import Collector
from pytest_mesh.run import USAGE_ERROR, Run

if TYPE_CHECKING:
    from pytest_mesh.hooks import Backend

__all__ = [
    "mesh",
    "mesh_cluster",
    "mesh_evidence",
    "mesh_namespace",
    "mesh_offline",
    "mesh_outside",
    "mesh_pair",
    "mesh_settings",
    "mesh_state",
]

MARKERS = (
    "mesh_namespace(name): fix the name of the test's namespace (not on an existing cluster)",
    "mesh_exclusive: the test changes the whole mesh; nothing else runs beside it",
    "mesh_differential: the test compares two meshes on one cluster; only --mesh-differential runs it, and it alone",
    "mesh_feature(name): the test is a check of this feature of the conformance catalogue",
)


# ------------------------------------------------------------ configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Make Hypothesis's profiles known before a conftest may replace them and Hypothesis's plugin loads the chosen one."""
    if getattr(early_config.known_args_namespace, "hypothesis_profile", None):
        from pytest_mesh.strategies import profiles

        profiles.register()
        early_config.pluginmanager.register(profiles.Known(), "mesh-profiles")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if not config.option.help and not config.option.version:
        run = config.stash[RUN] = Run(config)
        if not run.worker:
            config.pluginmanager.register(Collector(run, config.invocation_params.dir), "mesh-collector")
            run.watch()


def pytest_mesh_backends(config: pytest.Config) -> Mapping[str, Backend]:
    del config
    from pytest_mesh import backends

    return backends.shipped()


def pytest_report_header(config: pytest.Config) -> str | None:
    return options.header(config.stash[RUN].options) if RUN in config.stash else None


# ------------------------------------------------------------ collection


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Hand what a worker cannot use to the controller: what a worker raises is told to nobody."""
    try:
        return (yield)
    except pytest.UsageError as error:
        run = session.config.stash[RUN]
        if run.worker:
            run.hand_over(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report: pytest.CollectReport = yield
    if not report.passed:
        collector.config.stash[RUN].all_collected = False
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the run is not for, before anybody else chooses."""
    run = config.stash[RUN]
    selection.refuse_unknown_waivers(run, items)
    _check_suites(run, items)
    left = [*selection.not_this_kind(run, items), *selection.other_shards(run, items)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def pytest_collection_finish(session: pytest.Session) -> None:
    run = session.config.stash[RUN]
    # The hook is called only where there is a check: a suite's catalogue is not loaded for others.
    named = {item.nodeid: (check_name(item), feature_of(item)) for item in session.items if feature_of(item)}
    unknown = sorted(f"{node}: feature {name!r}" for node, (_, name) in named.items() if name not in run.features)
    if unknown:
        raise pytest.UsageError(f"not in the catalogue of features: {'; '.join(unknown)}")
    if named:
        _check_declared(run)
    if named and run.worker:
        run.share_features(named)


# ------------------------------------------------------------ a test


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    run = item.config.stash[RUN]
    run.current = item
    item.stash[RECORDS] = TestState()
    run.monitor.begin(item.name)
    try:
        if not is_mesh_test(item) or not run.worker:
            return (yield)
        exclusive = item.get_closest_marker("mesh_exclusive") is not None
        with run.session().turn(exclusive=exclusive):
            return (yield)
    finally:
        run.clear_line()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    feature = feature_of(item)
    if not feature:
        return
    item.user_properties.append(("mesh_feature", feature))
    run = item.config.stash[RUN]
    implementation = run.implementation
    if not implementation.judges(feature):
        pytest.skip(f"{NOT_APPLICABLE}implementation {implementation.name!r} does not declare {feature}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    gathering.shorten(call)
    report: pytest.TestReport = yield
    if RECORDS in item.stash and is_mesh_test(item):
        gathering.note(item, call, report, item.config.stash[RUN])
    return report


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """With ``-v``, show what a check rests on where it says PASSED or FAILED."""
    line = getattr(report, "mesh_line", "")
    if not line or report.when != "call" or config.option.verbose <= 0:
        return None
    if report.passed:
        return "passed", ".", (f"PASSED ({line})", {"green": True})
    return ("failed", "F", (f"FAILED ({line})", {"red": True})) if report.failed else None


# ------------------------------------------------------------ the run


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    del exitstatus
    run = session.config.stash[RUN]
    if not run.worker:
        gathering.conclude(session, run)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    run = config.stash[RUN]
    if run.evidence and not run.worker:
        gathering.print_summary(terminalreporter, run)


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].finish()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput.update(node.config.stash[RUN].share())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """End the run by what a worker could not use, as a run without workers ends."""
    del error
    lines = getattr(node, "workeroutput", {}).get(USAGE_ERROR)
    if lines:
        raise pytest.UsageError(*lines)


# ------------------------------------------------------------ inside


def _check_suites(run: Run, items: list[pytest.Item]) -> None:
    """Refuse a suite that is not whole; the hook is called only where a check, or a test of a suite, was collected."""
    suites.refuse_unnamed(items)
    suites.refuse_orphans(run.config, items)
    if any(feature_of(item) for item in items) or suites.holds_any(run.config, items):
        suites.refuse_misplaced(run.catalogues)
        if run.all_collected and not run.options.shard:
            suites.refuse_unproven(run.config, items, run.catalogues)


def _check_declared(run: Run) -> None:
    """Refuse an implementation's file that declares a feature which no catalogue has: its checks would never run."""
    from pytest_mesh.implementations.declared import undeclarable

    lines = [str(one) for one in undeclarable(run.implementation, run.features)]
    if lines:
        raise pytest.UsageError(*lines)
