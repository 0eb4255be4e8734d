"""All controllers together, over one set of caches."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.controllers.cache import Informer
from pytest_mesh.clusters.local.controllers.cron_jobs import CronJobController
from pytest_mesh.clusters.local.controllers.daemon_sets import DaemonSetController
from pytest_mesh.clusters.local.controllers.deployments import DeploymentController
from pytest_mesh.clusters.local.controllers.endpoints import EndpointsController
from pytest_mesh.clusters.local.controllers.evictions import EvictionController
from pytest_mesh.clusters.local.controllers.garbage import GarbageCollector
from pytest_mesh.clusters.local.controllers.jobs import JobController
from pytest_mesh.clusters.local.controllers.namespace_contents import ROOT_CONFIG_MAP, NamespaceContentsController
from pytest_mesh.clusters.local.controllers.namespaces import NamespaceController
from pytest_mesh.clusters.local.controllers.replica_sets import ReplicaSetController
from pytest_mesh.clusters.local.controllers.stateful_sets import StatefulSetController
from pytest_mesh.clusters.local.event_recorder import EventRecorder

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiclient import ApiClient

log = logging.getLogger(__name__)


async def run(client: ApiClient) -> None:
    """Run every controller for ever; a fault of one ends them all with its error."""
    pods = Informer(client, "/api/v1/pods")
    services = Informer(client, "/api/v1/services")
    endpoints = Informer(client, "/api/v1/endpoints")
    slices = Informer(client, "/apis/discovery.k8s.io/v1/endpointslices")
    namespaces = Informer(client, "/api/v1/namespaces")
    service_accounts = Informer(client, "/api/v1/serviceaccounts")
    root_config_maps = Informer(client, "/api/v1/configmaps", fieldSelector=f"metadata.name={ROOT_CONFIG_MAP}")
    deployments = Informer(client, "/apis/apps/v1/deployments")
    replica_sets = Informer(client, "/apis/apps/v1/replicasets")
    stateful_sets = Informer(client, "/apis/apps/v1/statefulsets")
    daemon_sets = Informer(client, "/apis/apps/v1/daemonsets")
    revisions = Informer(client, "/apis/apps/v1/controllerrevisions")
    jobs = Informer(client, "/apis/batch/v1/jobs")
    cron_jobs = Informer(client, "/apis/batch/v1/cronjobs")
    nodes = Informer(client, "/api/v1/nodes")
    definitions = Informer(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    informers = (
        pods,
        services,
        endpoints,
        slices,
        namespaces,
        service_accounts,
        root_config_maps,
        deployments,
        replica_sets,
        stateful_sets,
        daemon_sets,
        revisions,
        jobs,
        cron_jobs,
        nodes,
        definitions,
    )
    events = EventRecorder(client)
    controllers = (
        EndpointsController(client, services=services, pods=pods, slices=slices, endpoints=endpoints),
        DeploymentController(client, deployments=deployments, replica_sets=replica_sets, events=events),
        ReplicaSetController(client, replica_sets=replica_sets, pods=pods, events=events),
        StatefulSetController(client, stateful_sets=stateful_sets, pods=pods, revisions=revisions, events=events),
        DaemonSetController(
            client, daemon_sets=daemon_sets, pods=pods, nodes=nodes, revisions=revisions, events=events
        ),
        JobController(client, jobs=jobs, pods=pods, events=events),
        EvictionController(client, pods=pods, nodes=nodes, events=events),
        CronJobController(client, cron_jobs=cron_jobs, jobs=jobs, events=events),
        NamespaceContentsController(
            client, namespaces=namespaces, service_accounts=service_accounts, root_config_maps=root_config_maps
        ),
        NamespaceController(client, namespaces=namespaces),
        GarbageCollector(client, definitions=definitions),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(events.run(), name="events")
        for informer in informers:
            group.create_task(informer.run(), name=f"watch {informer.path}")
        for informer in informers:
            await informer.synced.wait()
        log.info("controllers: caches are filled")
        for controller in controllers:
            group.create_task(controller.run(), name=type(controller).__name__)
